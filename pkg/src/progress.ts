import type { Progress } from "./types.js";

/** Milliseconds between events that only bytes of a running slice cause. */
const INTERVAL = 100;

/** Joins what the sources see (bytes as they arrive) and what the engine sees (whole slices) to one rising count. */
export class ProgressMeter {
  private readonly last: Progress = { phase: "open", downloadedBytes: 0, uploadedBytes: 0, totalBytes: 0 };
  /** Bytes that arrived since the engine last reported. */
  private inFlight = 0;
  /** The engine's own count. */
  private whole = 0;
  private lastTime = 0;
  private isWaiting = false;

  constructor(private readonly listener: (progress: Progress) => void) {}

  /** The load begins. */
  open(): void {
    this.emit();
  }

  /** The download waits, and why. */
  waiting(reason: string): void {
    this.isWaiting = true;
    this.listener({ ...this.last, phase: "waiting", waiting: reason });
  }

  /** Bytes arrived from the source. */
  arrived(count: number): void {
    if (this.isWaiting) this.emit();
    if (this.last.totalBytes === 0) return;
    this.inFlight += count;
    this.raise("downloadedBytes", this.whole + this.inFlight);
    if (performance.now() - this.lastTime >= INTERVAL) this.emit();
  }

  /** The engine has taken a slice. */
  weights(downloaded: number, uploaded: number, total: number): void {
    this.last.phase = "weights";
    this.last.totalBytes = total;
    this.whole = downloaded;
    this.inFlight = 0;
    this.raise("downloadedBytes", downloaded);
    this.raise("uploadedBytes", uploaded);
    this.emit();
  }

  /** Everything is on the GPU. */
  ready(): void {
    this.last.phase = "ready";
    this.last.downloadedBytes = this.last.totalBytes;
    this.last.uploadedBytes = this.last.totalBytes;
    this.emit();
  }

  private raise(key: "downloadedBytes" | "uploadedBytes", value: number): void {
    this.last[key] = Math.max(this.last[key], Math.min(value, this.last.totalBytes));
  }

  private emit(): void {
    this.isWaiting = false;
    this.lastTime = performance.now();
    this.listener({ ...this.last });
  }
}
