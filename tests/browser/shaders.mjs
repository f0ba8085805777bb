// Compiles every variant that a plan can ask for with this browser's own compiler, texts and pipelines.
import { assert } from "/platform/harness.mjs";

/** `compiler` is "tint" or "naga": which of the two texts this browser reads. */
export async function compileAll(compiler, print) {
  const variants = await (await fetch("/wgsl.json")).json();
  assert(variants.length > 0, "no variants");
  const adapter = await navigator.gpu.requestAdapter();
  const features = ["shader-f16", "subgroups"].filter((name) => adapter.features.has(name));
  const device = await adapter.requestDevice({ requiredFeatures: features });
  // Firefox has the subgroup built-ins without the name of the feature.
  const subgroups = features.includes("subgroups");
  const failures = [];
  let compiled = 0;
  let lacking = 0;
  for (const variant of variants) {
    if ((variant.f16 && !features.includes("shader-f16")) || (variant.subgroups && !subgroups)) {
      lacking++;
      continue;
    }
    device.pushErrorScope("validation");
    const module = device.createShaderModule({ label: variant.name, code: variant[compiler] });
    const { messages } = await module.getCompilationInfo();
    const errors = messages.filter((message) => message.type === "error").map((m) => `${m.lineNum}:${m.linePos} ${m.message}`);
    try {
      await device.createComputePipelineAsync({ layout: "auto", compute: { module, entryPoint: "main" } });
      compiled++;
    } catch (error) {
      errors.push(String(error));
    }
    const scope = await device.popErrorScope();
    if (scope) errors.push(scope.message);
    if (errors.length > 0) failures.push(`${variant.name}: ${errors.join("; ")}`);
  }
  print(`         (${compiled} of ${variants.length} variants compiled; the adapter lacks the features for ${lacking})`);
  if (lacking > 0) print(`skipped: ${lacking} shader variants: the adapter has only ${features.join(", ") || "the base features"}`);
  device.destroy();
  assert(failures.length === 0, `${failures.length} variants do not compile:\n${failures.slice(0, 10).join("\n")}`);
  assert(compiled > 0, "nothing was compiled");
}
