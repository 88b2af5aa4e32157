// Values and arrays as bytes, both ways: docs/wire.md, "Frames".

import { decode, encode } from "@msgpack/msgpack";

const TYPES = [
  ["bool", Uint8Array], ["uint8", Uint8Array], ["int8", Int8Array], ["uint16", Uint16Array],
  ["int16", Int16Array], ["uint32", Uint32Array], ["int32", Int32Array],
  ["uint64", BigUint64Array], ["int64", BigInt64Array], ["float16", null],
  ["float32", Float32Array], ["float64", Float64Array],
];
const BIN_32 = 0xc6;

/** An array of zeros: `{dtype, shape, data}`, `data` flat and in C order. */
export function zeros(dtype, shape) {
  const Type = TYPES[code(dtype) - 1][1];
  return { dtype, shape, data: new Type(shape.reduce((size, axis) => size * axis, 1)) };
}

/** `{dtype, shape, data}` of plain numbers. */
export function arrayOf(dtype, shape, numbers) {
  const array = zeros(dtype, shape);
  array.data.set(numbers);
  return array;
}

/** A number that msgpack writes as a float, whatever it is: JavaScript's 2.0 would become an int. */
export function asFloat(number) {
  return Number.isInteger(number) ? number + 1e-6 : number;
}

/** A frame of plain values and of arrays by name. */
export function frame(values, arrays) {
  const listed = Object.entries(arrays).map(([name, a]) => [name, code(a.dtype), a.shape]);
  const head = encode({ ...values, arrays: listed });
  const pieces = [tagged(head.byteLength), head];
  let at = 5 + head.byteLength;
  for (const { data } of Object.values(arrays)) {
    const padding = padded(at);
    pieces.push(Buffer.alloc(padding, 0xc0), tagged(data.byteLength));
    pieces.push(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    at += padding + 5 + data.byteLength;
  }
  return Buffer.concat(pieces);
}

/** The values of a frame, and its arrays by name. Throws an Error if it is none. */
export function unframe(bytes) {
  const headEnd = 5 + length(bytes, 0);
  const { arrays: listed, ...values } = decode(bytes.subarray(5, headEnd));
  const arrays = {};
  let at = headEnd;
  for (const [name, number, shape] of listed) {
    at += padded(at);
    const start = at + 5;
    at = start + length(bytes, at);
    const [dtype, Type] = TYPES[number - 1];
    if (!Type) throw new Error(`the array ${name} is ${dtype}, which this player cannot read`);
    // A copy: typed arrays must begin at a multiple of their item's size.
    const copy = new Uint8Array(bytes.subarray(start, at));
    arrays[name] = { dtype, shape, data: new Type(copy.buffer) };
  }
  return { values, arrays };
}

function code(dtype) {
  const at = TYPES.findIndex(([name]) => name === dtype);
  if (at < 0) throw new Error(`${dtype} has no code`);
  return at + 1;
}

function tagged(size) {
  const head = Buffer.alloc(5);
  head[0] = BIN_32;
  head.writeUInt32BE(size, 1);
  return head;
}

function length(bytes, at) {
  if (bytes[at] !== BIN_32) throw new Error(`no array begins at byte ${at}`);
  return bytes.readUInt32BE(at + 1);
}

// Bytes of padding after which an array's own bytes begin at a multiple of 8.
function padded(at) {
  return (8 - ((at + 5) % 8)) % 8;
}
