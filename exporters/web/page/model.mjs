// The network: model.wasm in a browser, in Node.js, or wherever WebAssembly runs.

/**
 * Makes a network of the bytes of model.wasm. Nothing is fetched, and no other file is needed.
 *
 * @param {BufferSource} bytes
 * @returns {Promise<{channels: number, height: number, width: number, classes: string[] | null,
 *   run: (pixels: Uint8Array) => Float32Array, runFloats: (input: Float32Array) => Float32Array}>}
 *   run takes [height][width][channels] from 0 to 255, runFloats takes [channels][height][width], normalised.
 *   Both return one logit per class.
 */
export async function loadModel(bytes) {
  const { instance } = await WebAssembly.instantiate(bytes);
  const wasm = instance.exports;
  const memory = wasm.memory.buffer; // It never grows.
  const [channels, height, width, outputs] = [wasm.channels(), wasm.height(), wasm.width(), wasm.outputs()];
  const size = channels * height * width;
  const pixelsPlace = new Uint8Array(memory, wasm.pixels(), size);
  const inputPlace = new Float32Array(memory, wasm.input(), size);
  const outputPlace = new Float32Array(memory, wasm.output(), outputs);

  function text(address) {
    const from = new Uint8Array(memory, address);
    return new TextDecoder().decode(from.subarray(0, from.indexOf(0)));
  }

  function runOn(place, values, call) {
    if (values.length !== size) {
      throw new RangeError(`the network takes ${size} values, not ${values.length}`);
    }
    place.set(values);
    call();
    return outputPlace.slice();
  }

  const addresses = Array.from({ length: outputs }, (_, index) => wasm.class_name(index));
  return {
    channels,
    height,
    width,
    classes: addresses.every((address) => address > 0) ? addresses.map(text) : null,
    run: (pixels) => runOn(pixelsPlace, pixels, wasm.run_pixels),
    runFloats: (input) => runOn(inputPlace, input, wasm.run),
  };
}

/**
 * Returns the most likely classes, best first: their indices and probabilities (softmax).
 *
 * @param {Float32Array} logits
 * @param {number} count
 */
export function topClasses(logits, count) {
  const largest = Math.max(...logits);
  const powers = Array.from(logits, (logit) => Math.exp(logit - largest));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers
    .map((power, index) => ({ index, logit: logits[index], probability: power / sum }))
    .sort((a, b) => b.logit - a.logit || a.index - b.index)
    .slice(0, count);
}
