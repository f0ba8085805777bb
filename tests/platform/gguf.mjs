// Makes GGUF files for tests: another chat template, and a file of gigabytes that is almost all zeros.

const ALIGNMENT = 32;
const STRING = 8;
const SCALAR_BYTES = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 };

/** The file with one more string in its metadata. */
export function withString(file, key, value) {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const tensors = Number(view.getBigUint64(8, true));
  const count = Number(view.getBigUint64(16, true));
  let at = 24;
  const number = () => Number(view.getBigUint64((at += 8) - 8, true));
  const skipString = () => {
    const length = number();
    at += length;
  };
  const skipValue = (type) => {
    if (type === STRING) return skipString();
    if (type !== 9) return void (at += SCALAR_BYTES[type]);
    const inner = view.getUint32((at += 4) - 4, true);
    const length = number();
    if (inner === STRING) for (let i = 0; i < length; i++) skipString();
    else at += length * SCALAR_BYTES[inner];
  };
  for (let i = 0; i < count; i++) {
    skipString();
    skipValue(view.getUint32((at += 4) - 4, true));
  }
  const metadataEnd = at;
  for (let i = 0; i < tensors; i++) {
    skipString();
    at += 4 + 8 * view.getUint32(at, true) + 12;
  }
  const added = [...string(key), ...u32(STRING), ...string(value)];
  const header = [...file.subarray(0, 16), ...u64(count + 1), ...file.subarray(24, metadataEnd), ...added, ...file.subarray(metadataEnd, at)];
  const data = file.subarray(align(at));
  const out = new Uint8Array(align(header.length) + data.length);
  out.set(header);
  out.set(data, align(header.length));
  return out;
}

/** Header of a Llama in F16 with `layers` layers of a real 8B model's shapes, and the length of the whole file. */
export function bigLlama(layers) {
  const [dim, ffn, heads, kvHeads, vocab] = [4096, 14336, 32, 8, 256];
  const tokens = ["<unk>", "<s>", "</s>", ...Array.from({ length: vocab - 3 }, (_, i) => `<0x${(i + 3).toString(16).padStart(2, "0").toUpperCase()}>`)];
  const metadata = [
    text("general.architecture", "llama"),
    int("general.file_type", 1),
    int("llama.block_count", layers),
    int("llama.context_length", 2048),
    int("llama.embedding_length", dim),
    int("llama.feed_forward_length", ffn),
    int("llama.attention.head_count", heads),
    int("llama.attention.head_count_kv", kvHeads),
    float("llama.attention.layer_norm_rms_epsilon", 1e-5),
    int("llama.vocab_size", vocab),
    text("tokenizer.ggml.model", "llama"),
    [...string("tokenizer.ggml.tokens"), ...u32(9), ...u32(STRING), ...u64(vocab), ...tokens.flatMap(string)],
    [...string("tokenizer.ggml.scores"), ...u32(9), ...u32(6), ...u64(vocab), ...tokens.flatMap(() => f32(0))],
    [...string("tokenizer.ggml.token_type"), ...u32(9), ...u32(5), ...u64(vocab), ...tokens.flatMap((_, i) => u32(i < 3 ? 3 : 6))],
    int("tokenizer.ggml.bos_token_id", 1),
    int("tokenizer.ggml.eos_token_id", 2),
  ];
  const kvDim = (dim / heads) * kvHeads;
  const shapes = [["token_embd.weight", [dim, vocab], 1]];
  for (let i = 0; i < layers; i++) {
    const at = `blk.${i}.`;
    shapes.push(
      [`${at}attn_norm.weight`, [dim], 0],
      [`${at}attn_q.weight`, [dim, dim], 1],
      [`${at}attn_k.weight`, [dim, kvDim], 1],
      [`${at}attn_v.weight`, [dim, kvDim], 1],
      [`${at}attn_output.weight`, [dim, dim], 1],
      [`${at}ffn_norm.weight`, [dim], 0],
      [`${at}ffn_gate.weight`, [dim, ffn], 1],
      [`${at}ffn_up.weight`, [dim, ffn], 1],
      [`${at}ffn_down.weight`, [ffn, dim], 1],
    );
  }
  shapes.push(["output_norm.weight", [dim], 0], ["output.weight", [dim, vocab], 1]);
  const infos = [];
  let offset = 0;
  for (const [name, shape, type] of shapes) {
    infos.push(...string(name), ...u32(shape.length), ...shape.flatMap(u64), ...u32(type), ...u64(offset));
    offset = align(offset + shape.reduce((a, b) => a * b) * (type === 1 ? 2 : 4));
  }
  const head = [...new TextEncoder().encode("GGUF"), ...u32(3), ...u64(shapes.length), ...u64(metadata.length), ...metadata.flat(), ...infos];
  const header = new Uint8Array(align(head.length));
  header.set(head);
  return { header, size: header.length + offset };
}

const align = (n) => Math.ceil(n / ALIGNMENT) * ALIGNMENT;
const bytesOf = (length, write) => {
  const view = new DataView(new ArrayBuffer(length));
  write(view);
  return [...new Uint8Array(view.buffer)];
};
const u32 = (n) => bytesOf(4, (view) => view.setUint32(0, n, true));
const u64 = (n) => bytesOf(8, (view) => view.setBigUint64(0, BigInt(n), true));
const f32 = (n) => bytesOf(4, (view) => view.setFloat32(0, n, true));
const string = (s) => {
  const utf8 = new TextEncoder().encode(s);
  return [...u64(utf8.length), ...utf8];
};
const text = (key, value) => [...string(key), ...u32(STRING), ...string(value)];
const int = (key, value) => [...string(key), ...u32(4), ...u32(value)];
const float = (key, value) => [...string(key), ...u32(6), ...f32(value)];
