// An experiment's spec, graph and newest weights, from Redis: docs/wire.md.

import { createHash } from "node:crypto";
import ort from "onnxruntime-node";
import { createClient, RESP_TYPES } from "redis";
import { unframe } from "./frames.mjs";

const PATIENCE_MS = 2000;
const ONE_THREAD = { intraOpNumThreads: 1, interOpNumThreads: 1, executionMode: "sequential" };

/** Reads what learners publish. A read that takes longer than two seconds gives an Error. */
export class Store {
  constructor(url) {
    this.client = createClient({ url, socket: { reconnectStrategy: () => 500 } });
    this.client.on("error", (error) => console.error(`redis: ${error.message || error.code}`));
    this.bytes = this.client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  }

  async open() {
    await this.client.connect();
  }

  /** The bytes of one key of an experiment, or null. */
  get(experiment, name) {
    return inTime(this.bytes.get(`tinyqueue:${experiment}:${name}`));
  }

  /** The run that is trained, or null without a learner. */
  async run(experiment) {
    const lease = await inTime(this.client.hGetAll(`tinyqueue:${experiment}:lease`));
    return lease.run ?? null;
  }

  close() {
    this.client.destroy();
  }
}

function inTime(promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("redis does not answer")), PATIENCE_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** The first 48 bits of a spec's hash, by which headers name it. */
export function specVersion(bytes) {
  return parseInt(createHash("sha256").update(bytes).digest("hex").slice(0, 12), 16);
}

/** One experiment's graph, under the newest weights fetched so far. */
export class Policy {
  constructor(store, spec) {
    Object.assign(this, { store, spec, version: -1, envSteps: 0, weights: {} });
  }

  async open() {
    const { experiment, graph_sha256: sha256, slots, observation_space: space } = this.spec;
    const graph = await this.store.get(experiment, `graph:${sha256}`);
    if (!graph || hash(graph).toString("hex") !== sha256) throw new Error("no such graph");
    try {
      this.session = await ort.InferenceSession.create(graph, ONE_THREAD);
    } catch (error) {
      // Such as weights of a megabyte and more, which are outside of the graph.
      throw new Error(`this player cannot load the graph: ${error.message}`);
    }
    for (const name of this.session.inputNames) {
      if (name !== "observation:" && !name.startsWith("weight:")) {
        throw new Error(`this player has nothing for the policy's input ${name}`);
      }
    }
    this.seen = new Float32Array(slots * space[""].shape[0]);
    this.input = new ort.Tensor("float32", this.seen, [slots, ...space[""].shape]);
  }

  /** Fetches the head version if it is another. The present weights stay if there is none. */
  async update() {
    const { experiment, run, graph_sha256: graph } = this.spec;
    const head = Number((await this.store.get(experiment, "head")) ?? -1);
    if (head <= this.version) return;
    const bytes = await this.store.get(experiment, `weights:${head}`);
    if (!bytes) return; // Replaced meanwhile: the next update reads the head again.
    const framed = bytes.subarray(32);
    if (!hash(framed).equals(bytes.subarray(0, 32))) throw new Error("weights of another hash");
    const { values, arrays } = unframe(framed);
    if (values.run !== run || values.graph_sha256 !== graph) return;
    this.weights = {};
    for (const [name, { dtype, shape, data }] of Object.entries(arrays)) {
      this.weights[`weight:${name}`] = new ort.Tensor(dtype, data, shape);
    }
    this.version = values.version;
    this.envSteps = values.env_steps;
  }

  /** What an output says of the rows in `seen`: flat, [B, n]. */
  async run(output) {
    const feeds = { "observation:": this.input, ...this.weights };
    return (await this.session.run(feeds, [output]))[output].data;
  }
}

function hash(bytes) {
  return createHash("sha256").update(bytes).digest();
}
