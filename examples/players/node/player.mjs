// A player of CartPole-v1 for a tinyqueue learner, from docs/wire.md alone.
//
//   TINYQUEUE_BROKER_URL=amqp://… TINYQUEUE_REDIS_URL=redis://… node player.mjs
//     [--queue play] [--record FILE] [--batches N]

import { appendFileSync } from "node:fs";
import { hostname } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { randomUUID } from "node:crypto";
import { encode } from "@msgpack/msgpack";
import { Broker } from "./broker.mjs";
import { asFloat, frame } from "./frames.mjs";
import { Policy, Store, specVersion } from "./policy.mjs";
import { Stage, requirePlayable } from "./stage.mjs";

const GIVE_UP_MS = 30_000; // for a batch that is not confirmed
const ENDING_MS = 2000; // for it when the player ends
const GONE_MS = 10_000; // without a lease, after which there is no learner
const LOOK_MS = 250; // between two looks at the lease
const MOST_PAUSE_MS = 100; // before a batch that was refused is published again
const MOST_REST_MS = 30_000; // after a task that cannot be played
const MOST_ENDED = 1024; // tasks in one header
const MOST_RANGES = 64; // of dropped batches in one header
const SESSION = "application/x-tinyqueue-session";
const FAILURE = "application/x-tinyqueue-task-failure";

class Player {
  constructor(brokerUrl, store, { queue, record, batches }) {
    Object.assign(this, { brokerUrl, store, queue, record, left: batches });
    this.name = `${hostname()}:${process.pid}:node`;
    this.ending = new AbortController();
    this.stage = this.pending = null;
    this.ended = [];
    this.restMs = 1000;
    this.played = { batches: 0, envSteps: 0, playS: 0, deliverS: 0 };
  }

  get isEnding() {
    return this.ending.signal.aborted || this.left <= 0;
  }

  /** Serves tasks until it is told to end, over as many connections as that takes. */
  async run() {
    let told = "";
    while (!this.isEnding) {
      try {
        await this.#serve();
      } catch (error) {
        const reason = error.message || error.code;
        if (reason !== told) console.error(`broker: ${reason}`);
        told = reason;
        await this.#rest(1000);
      }
    }
  }

  /** Ends after the batch in hand. */
  end() {
    this.ending.abort();
  }

  async #serve() {
    let onEnd;
    let task = null;
    this.broker = await Broker.open(this.brokerUrl);
    try {
      let done;
      const ended = new Promise((resolve) => (done = resolve));
      onEnd = () => task || done();
      this.ending.signal.addEventListener("abort", onEnd);
      await this.broker.consume(this.queue, async (message) => {
        // A task that comes while the player ends is not acked, and so goes to another.
        if (this.isEnding) return done();
        task = this.#take(message);
        await task.catch(done);
        task = null;
        if (this.isEnding) done();
      });
      const reason = await Promise.race([ended, this.broker.closed]);
      if (reason) throw reason instanceof Error ? reason : new Error(reason);
    } finally {
      this.ending.signal.removeEventListener("abort", onEnd);
      // On a lost connection it ends at its next publish; what it has played stays pending.
      await task?.catch(() => {});
      await this.broker.close();
    }
  }

  async #take(message) {
    const { headers } = message.properties;
    if (headers.task !== "play-episode") {
      this.broker.tasks.reject(message, false);
      return;
    }
    const [, task] = JSON.parse(message.content.toString());
    const refused = await this.#prepare(task).catch((error) => error);
    if (refused instanceof Error) await this.#tell(headers.id, task, refused);
    else if (refused === "play") await this.#play(headers.id, task);
    this.broker.tasks.ack(message);
  }

  /** `play` if there is a stage for the task's run, or why it is over. */
  async #prepare(task) {
    const { experiment, run } = task;
    if ((await this.store.run(experiment)) !== run) return "another run, or no learner";
    if (this.stage?.spec.run === run && this.stage.specVersion === task.spec_version) return "play";
    const bytes = await this.store.get(experiment, "spec");
    const spec = JSON.parse(bytes ?? "{}");
    if (spec.run !== run) return "another run";
    requirePlayable(spec);
    const policy = new Policy(this.store, spec);
    await policy.open();
    this.policy = policy;
    this.stage = new Stage(spec, specVersion(bytes));
    this.pending = null;
    this.dropped = [];
    return "play";
  }

  async #play(id, { experiment, run, budget_s: budgetS }) {
    const end = performance.now() + budgetS * 1000;
    let alive = performance.now();
    let looked = -Infinity;
    for (;;) {
      // What was not confirmed goes first.
      if (this.pending) {
        const isLast = this.pending.isLast && this.pending.task === id;
        if (!(await this.#deliver()) || isLast) return;
      }
      const now = performance.now();
      if (now - looked >= LOOK_MS) {
        looked = now;
        const trained = await this.store.run(experiment).catch(() => run);
        if (trained === run) alive = now;
        else if (trained !== null || now - alive > GONE_MS) return;
      }
      await this.policy.update().catch((error) => console.error(error.message));
      if (this.policy.version < 0) {
        if (now > end || this.isEnding) return;
        await this.#rest(20);
        continue;
      }
      const { playS, ...batch } = await this.stage.play(this.policy);
      const isOver = performance.now() + 500 * playS >= end;
      const isLast = isOver || this.isEnding || this.left <= 1;
      if (isLast) this.ended.push(id);
      this.#offer(id, batch, playS, isLast);
    }
  }

  /** Makes a message of a batch: its id and bytes stay the same however often it is published. */
  #offer(task, { arrays, envSteps, policyVersion }, playS, isLast) {
    const { spec, specVersion: version, id, n } = this.stage;
    const shared = {
      experiment: spec.experiment,
      run: spec.run,
      player: this.name,
      policy_version: policyVersion,
      spec_version: version,
    };
    const told = {
      ended_tasks: this.ended.slice(-MOST_ENDED),
      dropped: this.dropped.slice(-MOST_RANGES),
    };
    const { login } = this.broker;
    const header = {
      ...shared, ...told, stage: id, n, user: login, task, seed: 0, play_s: asFloat(playS),
    };
    const body = frame({ header, slot_major: false }, arrays);
    const headers = {
      ...shared, schema: 1, ticks: spec.ticks, slots: spec.slots, env_steps: envSteps,
      codec: "none", raw_bytes: body.length,
    };
    const properties = this.#properties(SESSION, `${id}:${n}`, task);
    const since = performance.now();
    this.pending = { task, body, headers, properties, n, envSteps, isLast, told, since };
    this.stage.n += 1;
    this.played.playS += playS;
  }

  #properties(type, id, task) {
    return {
      content_type: type, message_id: id, correlation_id: task, user_id: this.broker.login,
      app_id: "tinyqueue", delivery_mode: 2,
    };
  }

  /** Whether the pending batch has been confirmed. If not, it has been given up. */
  async #deliver() {
    const { body, headers, properties, envSteps, told, since } = this.pending;
    const began = performance.now();
    for (let pauseMs = 5; ; pauseMs = Math.min(2 * pauseMs, MOST_PAUSE_MS)) {
      const answer = await this.broker.publish(headers.experiment, body, headers, properties);
      if (answer === "confirmed") break;
      const isOver = performance.now() - since > (this.isEnding ? ENDING_MS : GIVE_UP_MS);
      if (answer === "no learner" || isOver) {
        this.#drop(answer === "full" ? "queue full" : answer);
        return false;
      }
      await pause(pauseMs * (0.5 + Math.random()));
    }
    if (this.record) {
      appendFileSync(this.record, encode([1, properties, headers, body]));
    }
    this.ended = this.ended.filter((task) => !told.ended_tasks.includes(task));
    this.dropped = this.dropped.filter((range) => !told.dropped.includes(range));
    this.pending = null;
    this.left -= 1;
    this.restMs = 1000;
    this.played.batches += 1;
    this.played.envSteps += envSteps;
    this.played.deliverS += (performance.now() - began) / 1000;
    return true;
  }

  #drop(reason) {
    this.dropped.push([reason, this.pending.n, 1]);
    this.pending = null;
  }

  /** Tells the learner why a task was not played, and rests before the next. */
  async #tell(id, { experiment, run }, error) {
    console.error(`a task of ${experiment} is refused: ${error.message}`);
    const body = frame(
      {
        schema: 1, task: id, experiment, run, kind: "foreign-player",
        text: error.message.slice(0, 1024), player: this.name, user: this.broker.login, ended: true,
      },
      {},
    );
    const properties = this.#properties(FAILURE, randomUUID(), id);
    await this.broker.publish(experiment, body, {}, properties);
    await this.#rest(this.restMs);
    this.restMs = Math.min(2 * this.restMs, MOST_REST_MS);
  }

  async #rest(ms) {
    await pause(ms, undefined, { signal: this.ending.signal }).catch(() => {});
  }
}

const { values } = parseArgs({
  options: {
    queue: { type: "string", default: "play" },
    record: { type: "string" },
    batches: { type: "string", default: "Infinity" },
  },
});
const { TINYQUEUE_BROKER_URL: brokerUrl, TINYQUEUE_REDIS_URL: redisUrl } = process.env;
if (!brokerUrl?.startsWith("amqp") || !redisUrl) {
  console.error("set TINYQUEUE_BROKER_URL (amqp://…) and TINYQUEUE_REDIS_URL (redis://…)");
  process.exit(2);
}
const store = new Store(redisUrl);
await store.open();
const player = new Player(brokerUrl, store, { ...values, batches: Number(values.batches) });
for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => player.end());
await player.run();
store.close();
const { batches, envSteps, playS, deliverS } = player.played;
const { user, system } = process.cpuUsage();
console.log(JSON.stringify({
  batches, env_steps: envSteps, play_s: playS, deliver_s: deliverS, cpu_s: (user + system) / 1e6,
}));
process.exit(0);
