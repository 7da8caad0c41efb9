// The page: an image or the camera in, classes out.

import { fit } from "./images.mjs";
import { loadModel, topClasses } from "./model.mjs";

export const facts = JSON.parse(document.getElementById("facts-data").textContent);
const LARGEST = 2 ** 24; // pixels that every browser's canvas can hold; larger photos are reduced by the browser
const element = (id) => document.getElementById(id);

export const model = await load();
export let pixels = null; // of the last image, as the network sees it

async function load() {
  try {
    const bytes = Uint8Array.from(atob(facts.wasm), (letter) => letter.charCodeAt(0));
    return await loadModel(bytes);
  } catch (error) {
    tell(`This browser cannot run the network: it lacks WebAssembly with 128-bit SIMD (${error.message}).`);
    throw error;
  }
}

function tell(problem) {
  element("problem").textContent = problem;
  element("problem").hidden = problem === "";
}

const nameOf = (index) => (model.classes ? model.classes[index] : `class ${index}`);

/** The bytes of an image, [height][width][4], as its file has them: no colour profile, no blending. */
function bytesOf(source, width, height) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(source, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  for (let i = 3; i < data.length; i += 4) {
    if (data[i] !== 255) {
      return { data: unblended(source, width, height) ?? data, transparent: true };
    }
  }
  return { data, transparent: false };
}

/** A 2D canvas multiplies colours by their transparency, which loses bits; a texture does not. */
function unblended(source, width, height) {
  const gl = new OffscreenCanvas(1, 1).getContext("webgl");
  if (gl === null || Math.max(width, height) > gl.getParameter(gl.MAX_TEXTURE_SIZE)) {
    return null;
  }
  gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, false);
  gl.pixelStorei(gl.UNPACK_COLORSPACE_CONVERSION_WEBGL, gl.NONE);
  gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, source);
  gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
  gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, gl.getParameter(gl.TEXTURE_BINDING_2D), 0);
  const data = new Uint8Array(width * height * 4);
  gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, data);
  gl.getExtension("WEBGL_lose_context")?.loseContext();
  return gl.getError() === gl.NO_ERROR || gl.isContextLost() ? data : null;
}

/** Median milliseconds of one run: browsers' clocks are coarse, so each sample is as many runs as take 5 ms. */
function timePerImage(runs) {
  const samples = [];
  for (let round = 0; round < runs; round++) {
    const start = performance.now();
    let count = 0;
    do {
      model.run(pixels);
      count++;
    } while (performance.now() - start < 5);
    samples.push((performance.now() - start) / count);
  }
  return samples.sort((a, b) => a - b)[runs >> 1];
}

export const milliseconds = (time) => `${time.toPrecision(3)} ms`;
let lastSaid = "";

function classify(source, width, height, note, timed) {
  const scale = Math.sqrt(Math.min(1, LARGEST / (width * height)));
  const [w, h] = [Math.floor(width * scale), Math.floor(height * scale)];
  const { data, transparent } = bytesOf(source, w, h);
  pixels = fit(data, w, h, model, facts.resize);
  const logits = model.run(pixels);
  const notes = [
    note,
    scale < 1 ? "The browser reduced this very large image first." : "",
    transparent ? "The image's transparency was left out." : "",
  ];
  show(logits, notes.filter(Boolean).join(" "));
  if (timed) {
    element("time").textContent = `${milliseconds(timePerImage(5))} per image, one thread.`;
  }
  return logits;
}

function show(logits, note) {
  const top = topClasses(logits, 5);
  element("result").hidden = false;
  element("note").textContent = note;
  const said = nameOf(top[0].index);
  if (said !== lastSaid || element("video").hidden) {
    element("answer").textContent = said; // screen readers read it; with a camera only when it changes
    lastSaid = said;
  }
  element("classes").replaceChildren(...top.map(classLine));
  element("logits").tBodies[0].replaceChildren(...Array.from(logits, (logit, i) => row([nameOf(i), String(logit)])));
  draw();
}

function classLine({ index, probability }) {
  const line = document.createElement("li");
  const meter = Object.assign(document.createElement("meter"), { min: 0, max: 1, value: probability });
  meter.setAttribute("aria-hidden", "true");
  line.append(span(nameOf(index)), meter, span(`${(100 * probability).toFixed(1)} %`));
  return line;
}

function span(text) {
  return Object.assign(document.createElement("span"), { textContent: text });
}

export function row(cells) {
  const line = document.createElement("tr");
  line.append(...cells.map((text) => Object.assign(document.createElement("td"), { textContent: text })));
  return line;
}

function draw() {
  const canvas = element("pixels");
  const { width, height, channels } = model;
  Object.assign(canvas, { width, height });
  const shown = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) {
      shown.data[4 * i + c] = pixels[channels * i + (channels === 3 ? c : 0)];
    }
    shown.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(shown, 0, 0);
}

async function classifyFile(file) {
  stopCamera();
  tell("");
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  } catch {
    tell(`${file.name || "This file"} is no image that this browser can read; choose a PNG or JPEG file.`);
    return;
  }
  URL.revokeObjectURL(element("picture").src);
  element("picture").src = URL.createObjectURL(file);
  classify(bitmap, bitmap.width, bitmap.height, "", true);
  bitmap.close();
}

function handle(files) {
  const image = Array.from(files ?? []).find((file) => file.type.startsWith("image/")) ?? files?.[0];
  if (image) {
    classifyFile(image);
  }
}

element("file").addEventListener("change", (event) => handle(event.target.files));
document.addEventListener("paste", (event) => handle(event.clipboardData.files));
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  element("drop").classList.add("over");
});
document.addEventListener("dragleave", () => element("drop").classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  element("drop").classList.remove("over");
  handle(event.dataTransfer.files);
});

// The camera: each frame that is there when the one before is done.
let stream = null;

element("camera").hidden = !navigator.mediaDevices?.getUserMedia;
element("camera").addEventListener("click", () => (stream ? stopCamera() : startCamera()));

async function startCamera() {
  tell("");
  element("camera").disabled = true; // until the browser has asked
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch (error) {
    tell(`The camera cannot be used (${error.message}); allow it in the browser, or choose an image.`);
    return;
  } finally {
    element("camera").disabled = false;
  }
  stream.getVideoTracks()[0].addEventListener("ended", stopCamera); // it was unplugged, or taken back
  const video = element("video");
  video.srcObject = stream;
  await video.play();
  showVideo(true);
  frame();
}

let lastTimed = -Infinity;

function frame() {
  if (stream === null) {
    return;
  }
  const video = element("video");
  const timed = performance.now() - lastTimed > 1000;
  lastTimed = timed ? performance.now() : lastTimed;
  classify(video, video.videoWidth, video.videoHeight, "", timed);
  requestAnimationFrame(frame);
}

function stopCamera() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  showVideo(false);
}

function showVideo(on) {
  element("video").hidden = !on;
  element("picture").hidden = on;
  element("camera").textContent = on ? "Stop the camera" : "Use the camera";
  element("camera").setAttribute("aria-pressed", String(on));
}

// A drawn image whose logits the NumPy backend computed: do we give the same bits here?
function check() {
  let state = 1;
  const image = new Uint8Array(model.channels * model.height * model.width);
  for (let i = 0; i < image.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    image[i] = state >>> 24;
  }
  const bits = new Uint32Array(model.run(image).buffer);
  const equal = facts.check.filter((expected, i) => expected === bits[i]).length;
  return `${equal} of ${bits.length} logits of a test image have the bits of the NumPy reference`;
}

element("pixels").setAttribute("aria-label", "The image as the network sees it");
element("pixels-text").textContent = `as the network sees it, ${model.width} x ${model.height}`;
const listed = { ...facts.about, "this browser": check() };
element("facts").append(
  ...Object.entries(listed).flatMap(([name, value]) => [
    Object.assign(document.createElement("dt"), { textContent: name }),
    Object.assign(document.createElement("dd"), { textContent: value }),
  ]),
);

// Where a server gave the page, keep it for later without a network.
if (location.protocol.startsWith("http")) {
  navigator.serviceWorker?.register("offline.js").catch(() => {}); // only https and localhost may
}
