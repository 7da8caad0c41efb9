// From an image to the network's pixels, byte for byte as `rbnn-deploy run` does it with Pillow.

/**
 * Brings an image to the network's size and number of channels.
 *
 * @param {Uint8ClampedArray | Uint8Array} rgba [height][width][4]; transparency is left out.
 * @param {number} width
 * @param {number} height
 * @param {{channels: number, height: number, width: number}} model
 * @param {number | null} resize The shorter side becomes this long and the centre is cut out; null resizes straight to
 *   the network's size, whatever the image's proportions.
 * @returns {Uint8Array} [model.height][model.width][model.channels]
 */
export function fit(rgba, width, height, model, resize) {
  let image = { data: dropAlpha(rgba, model.channels), width, height, channels: model.channels };
  if (resize === null) {
    return resizeImage(image, model.width, model.height).data;
  }
  const shorter = Math.min(width, height);
  const size = Math.max(resize, model.height, model.width);
  const scaled = (side) => (side === shorter ? size : Math.trunc((size * side) / shorter));
  image = resizeImage(image, scaled(width), scaled(height));
  return cutCentre(image, model.width, model.height);
}

function dropAlpha(rgba, channels) {
  const count = rgba.length / 4;
  const data = new Uint8Array(count * channels);
  for (let i = 0; i < count; i++) {
    const [r, g, b] = [rgba[4 * i], rgba[4 * i + 1], rgba[4 * i + 2]];
    if (channels === 1) {
      data[i] = (r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16; // ITU-R 601-2 luminance
    } else {
      data[3 * i] = r;
      data[3 * i + 1] = g;
      data[3 * i + 2] = b;
    }
  }
  return data;
}

/** Resizes with Pillow's bilinear filter, one axis after the other in Pillow's order, each rounded to bytes. */
function resizeImage(image, width, height) {
  const shrinks = image.height - height;
  const rowsFirst = shrinks > 0 && shrinks > 2 * (image.width - width); // Pillow 13; earlier ones: hardly ever
  for (const horizontal of rowsFirst ? [false, true] : [true, false]) {
    const [from, size] = horizontal ? [image.width, width] : [image.height, height];
    image = from === size ? image : resizeAxis(image, size, horizontal);
  }
  return image;
}

const PRECISION_BITS = 22; // of Pillow's fixed-point weights

function resizeAxis(image, size, horizontal) {
  const { channels } = image;
  const from = horizontal ? image.width : image.height;
  const [width, height] = horizontal ? [size, image.height] : [image.width, size];
  const data = new Uint8Array(width * height * channels);
  const step = horizontal ? channels : image.width * channels; // between two elements of the axis
  const lines = horizontal ? height : image.width * channels;
  const lineStep = horizontal ? image.width * channels : 1;
  const lineStepOut = horizontal ? width * channels : 1;
  const outStep = horizontal ? channels : width * channels;
  const inner = horizontal ? channels : 1;
  for (let out = 0; out < size; out++) {
    const { first, weights } = weightsOf(out, from, size);
    for (let line = 0; line < lines; line++) {
      for (let c = 0; c < inner; c++) {
        let sum = 1 << (PRECISION_BITS - 1);
        let at = line * lineStep + first * step + c;
        for (let k = 0; k < weights.length; k++, at += step) {
          sum += image.data[at] * weights[k];
        }
        data[line * lineStepOut + out * outStep + c] = Math.min(sum >> PRECISION_BITS, 255);
      }
    }
  }
  return { data, width, height, channels };
}

/** The triangle around the centre of output `out`: its first input and the fixed-point weights from there on. */
function weightsOf(out, from, size) {
  const scale = from / size;
  const support = Math.max(scale, 1);
  const centre = (out + 0.5) * scale;
  const first = Math.max(Math.trunc(centre - support + 0.5), 0);
  const end = Math.min(Math.trunc(centre + support + 0.5), from);
  const inverse = 1 / support;
  const weights = [];
  let total = 0;
  for (let x = first; x < end; x++) {
    const weight = Math.max(1 - Math.abs((x - centre + 0.5) * inverse), 0);
    weights.push(weight);
    total += weight;
  }
  const normalise = (weight) => Math.trunc(0.5 + (weight / total) * (1 << PRECISION_BITS));
  return { first, weights: weights.map(normalise) };
}

function cutCentre(image, width, height) {
  const { channels } = image;
  const left = roundHalfToEven((image.width - width) / 2);
  const top = roundHalfToEven((image.height - height) / 2);
  const data = new Uint8Array(width * height * channels);
  for (let y = 0; y < height; y++) {
    const start = ((top + y) * image.width + left) * channels;
    data.set(image.data.subarray(start, start + width * channels), y * width * channels);
  }
  return data;
}

function roundHalfToEven(x) {
  const floor = Math.floor(x);
  return x - floor === 0.5 ? floor + (floor % 2) : Math.round(x);
}
