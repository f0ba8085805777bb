// Compiles every variant that a plan can ask for with the compiler of this browser (or of Dawn in Node), and makes
// pipelines of them.
import { assert } from "./harness.mjs";

/** Pipelines under way at once: browsers compile them in threads. */
const BATCH = 16;

/**
 * `variants` as tests/shaders.rs writes them; `compiler` is "tint" or "naga": which of the two texts `gpu` reads.
 * `pipelines`: "all", or "chosen" where making one takes the adapter most of a second (SwiftShader).
 */
export async function compileAll(variants, gpu, compiler, pipelines, print) {
  assert(variants.length > 0, "no variants");
  const adapter = await gpu.requestAdapter();
  const features = ["shader-f16", "subgroups"].filter((name) => adapter.features.has(name));
  const device = await adapter.requestDevice({ requiredFeatures: features });
  // Firefox has the subgroup built-ins without the name of the feature.
  const subgroups = features.includes("subgroups");
  const usable = variants.filter((v) => (!v.f16 || features.includes("shader-f16")) && (!v.subgroups || subgroups));
  const lacking = variants.length - usable.length;
  const failures = [];
  for (let i = 0; i < usable.length; i += BATCH) {
    device.pushErrorScope("validation");
    const batch = usable.slice(i, i + BATCH);
    const results = await Promise.all(batch.map((variant) => compile(device, variant.name, variant[compiler], pipelines === "all" || variant.chosen)));
    const scope = await device.popErrorScope();
    batch.forEach((variant, j) => results[j].length > 0 && failures.push(`${variant.name}: ${results[j].join("; ")}`));
    if (scope && results.every((errors) => errors.length === 0)) failures.push(`one of ${batch.map((v) => v.name).join(", ")}: ${scope.message}`);
  }
  const made = usable.filter((v) => pipelines === "all" || v.chosen).length;
  assert(made > 0, "no pipeline was made");
  print(`         (${usable.length} of ${variants.length} variants compiled, ${made} to pipelines; the adapter lacks the features for ${lacking})`);
  if (lacking > 0) print(`skipped: ${lacking} shader variants: the adapter has only ${features.join(", ") || "the base features"}`);
  device.destroy();
  assert(failures.length === 0, `${failures.length} variants do not compile:\n${failures.slice(0, 10).join("\n")}`);
  assert(usable.length > 0, "nothing was compiled");
}

/** Compiles a text, and makes a pipeline of it; gives what is wrong with it. */
async function compile(device, label, code, pipeline) {
  const module = device.createShaderModule({ label, code });
  const { messages } = await module.getCompilationInfo();
  const errors = messages.filter((message) => message.type === "error").map((m) => `${m.lineNum}:${m.linePos} ${m.message}`);
  if (!pipeline) return errors;
  try {
    await device.createComputePipelineAsync({ label, layout: "auto", compute: { module, entryPoint: "main" } });
  } catch (error) {
    errors.push(String(error));
  }
  return errors;
}
