import "./entry/browser.js";
import { serve } from "./serve.js";
import { workerSide } from "./web-worker.js";

serve(workerSide());
