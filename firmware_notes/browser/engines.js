// The two engines, behind one function each: a model's bytes in, {run, size, outputs} out: samples and
// the number of an output to its values, how many samples, and the outputs' names.
//
// Both run on one thread: a window takes milliseconds, and threads would need shared memory, which
// browsers give only to sites that send two special headers.

/** LiteRT.js; name, and how a TFLite file becomes something that runs. */
export const LITERT = { name: "LiteRT.js", load: litert };
export const ONNX_RUNTIME = { name: "ONNX Runtime Web", load: onnxRuntime };

async function litert(bytes) {
  const { Tensor, loadAndCompile, loadLiteRt } = await import("./engines/litert.js");
  const folder = new URL("engines/", import.meta.url).href;
  // It looks for its .wasm file beside the worker's script.
  self.Module = { locateFile: (name) => folder + name };
  await loadLiteRt(folder);
  const model = await loadAndCompile(bytes, { accelerator: "wasm" });
  const [{ shape, dtype }] = model.getInputDetails();
  return {
    size: sizeOf(shape, dtype),
    outputs: model.getOutputDetails().map(({ name }) => name),
    async run(samples, number) {
      // Tensors live in WebAssembly's memory, where nothing is collected.
      const input = new Tensor(samples, shape);
      const outputs = await model.run(input);
      const values = Float32Array.from(outputs[number].toTypedArray());
      for (const tensor of [input, ...outputs]) tensor.delete();
      return values;
    },
  };
}

async function onnxRuntime(bytes) {
  const ort = await import("./engines/ort.wasm.bundle.min.mjs");
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "error";
  const session = await ort.InferenceSession.create(bytes);
  const [{ name, shape, type }] = session.inputMetadata;
  // A batch of any size has a name in place of a number.
  const sizes = shape.map((size) => (typeof size === "number" ? size : 1));
  return {
    size: sizeOf(sizes, type),
    outputs: [...session.outputNames],
    async run(samples, number) {
      const results = await session.run({ [name]: new ort.Tensor("float32", samples, sizes) });
      return Float32Array.from(results[session.outputNames[number]].data);
    },
  };
}

/** Numbers that a model takes; NaN where they are not 32-bit floats. */
function sizeOf(shape, type) {
  return type === "float32" ? shape.reduce((product, size) => product * size, 1) : NaN;
}
