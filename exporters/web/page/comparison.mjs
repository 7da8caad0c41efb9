// The same model in onnxruntime-web, in turns with this page's code. Its files lie beside the page.

import { facts, milliseconds, model, pixels, row } from "./page.mjs";

// Browsers compile code again, and better, while it runs: what comes first is not counted.
const WARMING = 3000;
const MEASURING = 2000;
const status = document.getElementById("comparison");
document.getElementById("compare").addEventListener("click", async (event) => {
  event.target.disabled = true;
  try {
    status.textContent = "Loading onnxruntime-web ...";
    await compare();
  } catch (error) {
    status.textContent = `The comparison failed: ${error.message}. It needs a server; see docs/web.md.`;
  }
  event.target.disabled = false;
});

async function compare() {
  const folder = new URL("onnxruntime-web/", location.href);
  const ort = await import(new URL("ort.wasm.bundle.min.mjs", folder));
  ort.env.wasm.wasmPaths = { wasm: new URL("ort-wasm-simd-threaded.wasm", folder).href };
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(new URL("model.onnx", location.href).href);
  const image = pixels ?? new Uint8Array(model.channels * model.height * model.width);
  const input = normalise(image);
  const shape = [1, model.channels, model.height, model.width];
  const theirs = async () => {
    const outputs = await session.run({ [session.inputNames[0]]: new ort.Tensor("float32", input, shape) });
    return outputs[session.outputNames[0]].data;
  };
  const times = { ours: [], theirs: [] };
  status.textContent = "Running both ...";
  const begin = performance.now();
  while (times.ours.length === 0 || performance.now() - begin < WARMING + MEASURING) {
    const round = [await timed(async () => model.run(image)), await timed(theirs)];
    if (performance.now() - begin > WARMING) {
      times.ours.push(round[0]);
      times.theirs.push(round[1]);
    }
  }
  const [a, b] = [model.run(image), await theirs()];
  await session.release();
  showComparison(a, b, median(times.ours), median(times.theirs), ort.env.versions?.web ?? "");
}

/** Milliseconds of one run: as many as take 10 ms, because browsers' clocks are coarse. */
async function timed(run) {
  const start = performance.now();
  let count = 0;
  do {
    await run();
    count++;
  } while (performance.now() - start < 10);
  const time = (performance.now() - start) / count;
  await new Promise((resolve) => setTimeout(resolve)); // The page stays responsive.
  return time;
}

/** As model_run_image does it: each step rounded to float32. */
function normalise(image) {
  const { channels, height, width } = model;
  const input = new Float32Array(image.length);
  for (let c = 0; c < channels; c++) {
    const [mean, std] = [facts.mean[c], facts.std[c]].map(Math.fround);
    for (let i = 0; i < height * width; i++) {
      const x = Math.fround(image[i * channels + c] / 255);
      input[c * height * width + i] = Math.fround(x - mean) / std;
    }
  }
  return input;
}

const median = (values) => values.sort((x, y) => x - y)[values.length >> 1];

function showComparison(a, b, ours, theirs, version) {
  const differences = Array.from(a, (value, i) => Math.abs(value - b[i]));
  const bits = differences.filter((difference) => difference === 0).length;
  const best = (logits) => logits.indexOf(Math.max(...logits));
  status.textContent =
    `This page is ${(theirs / ours).toPrecision(3)} times as fast. Logits differ by at most ` +
    `${Math.max(...differences).toExponential(1)}; ${bits} of ${a.length} are equal; the most likely class is ` +
    `${best(a) === best(b) ? "the same" : "another"}.`;
  const table = document.getElementById("comparison-table");
  table.hidden = false;
  table.tBodies[0].replaceChildren(
    row(["this page", milliseconds(ours)]),
    row([`onnxruntime-web ${version}, one thread`, milliseconds(theirs)]),
  );
}
