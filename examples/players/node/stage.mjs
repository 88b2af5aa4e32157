// B environments, played side by side for T ticks at a time: docs/wire.md, "A session".

import { randomBytes } from "node:crypto";
import { CartPole } from "./cartpole.mjs";
import { arrayOf, zeros } from "./frames.mjs";
import { makeHead } from "./heads.mjs";

const MOST_STEPS = 500; // of CartPole-v1

/** Throws an Error that says why, if this player cannot play what a spec asks for. */
export function requirePlayable(spec) {
  const { environment: wanted, observation_space: seen, action_space: acted } = spec;
  const refuse = (why) => {
    throw new Error(`this player plays CartPole-v1 and nothing else: ${why}`);
  };
  if (wanted.id !== "CartPole-v1") refuse(`the experiment plays ${wanted.id}`);
  if (Object.keys(wanted.kwargs).length || wanted.wrappers.length) refuse("with kwargs or wrappers");
  for (const key of ["keep", "drop", "action_mask", "realtime"]) {
    if (wanted[key]) refuse(`environment.${key} is set`);
  }
  if (wanted.stack !== 1) refuse(`frames are stacked (environment.stack = ${wanted.stack})`);
  if (seen[""]?.dtype !== "float32" || seen[""].shape.join() !== "4") refuse("other observations");
  if (acted[""]?.n !== 2 || acted[""].shape.length) refuse("other actions");
  if (Object.keys(spec.state).length) refuse("the policy is recurrent");
  if (spec.policy) refuse(`${spec.policy.policy ?? spec.policy} plays instead (session.policy)`);
  if (spec.info.length) refuse("metrics.info is set");
  if (spec.codec !== "none") refuse(`session.codec is ${spec.codec}`);
  makeHead(spec);
}

export class Stage {
  constructor(spec, specVersion) {
    const { slots } = spec;
    Object.assign(this, { spec, specVersion, slots, n: 0, id: randomBytes(16).toString("hex") });
    this.head = makeHead(spec);
    this.dtype = spec.action_space[""].dtype;
    const most = spec.environment.max_episode_steps ?? MOST_STEPS;
    this.carts = Array.from({ length: slots }, () => new CartPole(most));
    this.ended = new Array(slots).fill(false);
    this.began = new Array(slots).fill(performance.now());
    this.action = zeros(this.dtype, [slots]);
    this.reward = zeros("float32", [slots]);
    this.steps = zeros("int32", [slots]);
    this.returns = new Array(slots).fill(0);
  }

  /** The next batch: `{arrays, envSteps, playS, policyVersion}`. */
  async play(policy) {
    const { slots, head } = this;
    const { ticks } = this.spec;
    const began = performance.now();
    head.begin(policy.envSteps);
    const perTick = (dtype) => zeros(dtype, [ticks, slots]);
    const arrays = {
      "observations/": zeros("float32", [ticks + 1, slots, 4]),
      "actions/": perTick(this.dtype),
      rewards: perTick("float32"),
      terminated: perTick("bool"),
      truncated: perTick("bool"),
      valid: perTick("bool"),
      "carry/episode_steps": copy(this.steps),
      "carry/previous_reward": copy(this.reward),
      "carry/previous_action": copy(this.action),
    };
    for (const name of head.extras) arrays[`extras/${name}`] = perTick("float32");
    const extras = head.extras.map((name) => arrays[`extras/${name}`].data);
    const rows = arrays["observations/"].data;
    const actions = arrays["actions/"].data;
    const episodes = [];
    let envSteps = 0;
    for (let tick = 0; tick < ticks; tick++) {
      this.#show(rows, tick);
      policy.seen.set(rows.subarray(tick * slots * 4, (tick + 1) * slots * 4));
      const outputs = await policy.run(head.output);
      for (let slot = 0; slot < slots; slot++) {
        const index = tick * slots + slot;
        actions[index] = head.choose(outputs, slot * 2, extras, index);
        if (this.ended[slot]) this.#restart(slot);
        else {
          envSteps += 1;
          this.#step(slot, index, arrays, episodes);
        }
      }
    }
    this.#show(rows, ticks);
    const playS = (performance.now() - began) / 1000;
    Object.assign(arrays, columns(episodes), head.arrays(slots));
    return { arrays, envSteps, playS, policyVersion: policy.version };
  }

  #show(rows, tick) {
    this.carts.forEach((cart, slot) => rows.set(cart.state, (tick * this.slots + slot) * 4));
  }

  // The tick after an end: it acts on nothing, and shows the first row of the next episode.
  #restart(slot) {
    this.carts[slot].reset();
    this.ended[slot] = false;
    this.began[slot] = performance.now();
    this.action.data[slot] = 0;
    this.reward.data[slot] = 0;
  }

  #step(slot, index, arrays, episodes) {
    const action = arrays["actions/"].data[index];
    const { reward, terminated, truncated } = this.carts[slot].step(action);
    arrays.valid.data[index] = 1;
    arrays.rewards.data[index] = reward;
    arrays.terminated.data[index] = terminated;
    arrays.truncated.data[index] = truncated;
    this.action.data[slot] = action;
    this.reward.data[slot] = reward;
    this.steps.data[slot] += 1;
    this.returns[slot] += reward;
    if (!terminated && !truncated) return;
    const seconds = (performance.now() - this.began[slot]) / 1000;
    episodes.push([slot, this.returns[slot], this.steps.data[slot], seconds]);
    this.ended[slot] = true;
    this.steps.data[slot] = 0;
    this.returns[slot] = 0;
  }
}

function copy({ dtype, shape, data }) {
  return { dtype, shape, data: data.slice() };
}

// Empty arrays may not travel.
function columns(episodes) {
  if (!episodes.length) return {};
  const column = (dtype, at) => arrayOf(dtype, [episodes.length], episodes.map((e) => e[at]));
  return {
    "episodes/slots": column("int32", 0),
    "episodes/returns": column("float32", 1),
    "episodes/lengths": column("int32", 2),
    "episodes/seconds": column("float32", 3),
  };
}
