// How actions are chosen from the policy's outputs, and what is recorded of it.

/** The head that a spec names. Throws an Error for one that this player does not have. */
export function makeHead(spec) {
  const actions = spec.action_space[""].n;
  const settings = spec.head_config;
  if (spec.head === "categorical") return new Categorical(actions, settings.record_entropy);
  if (spec.head === "epsilon-greedy" && settings.schedule === "annealed") {
    return new EpsilonGreedy(actions, settings);
  }
  const schedule = settings.schedule ? ` by ${settings.schedule}` : "";
  throw new Error(`this player cannot choose actions by ${spec.head}${schedule}`);
}

/** Draws from softmax(logits). */
class Categorical {
  output = "output:logits";

  constructor(actions, recordEntropy) {
    this.actions = actions;
    this.extras = ["behaviour_log_prob", ...(recordEntropy ? ["entropy"] : [])];
  }

  begin() {}

  /** An action for the row that begins at `at`; `extras[i][index]` takes what is recorded. */
  choose(logits, at, extras, index) {
    const n = this.actions;
    let most = -Infinity;
    for (let i = 0; i < n; i++) most = Math.max(most, logits[at + i]);
    let total = 0;
    for (let i = 0; i < n; i++) total += Math.exp(logits[at + i] - most);
    let action = 0;
    let left = Math.random() * total;
    while (action < n - 1 && (left -= Math.exp(logits[at + action] - most)) >= 0) action++;
    const logTotal = Math.log(total);
    extras[0][index] = Math.min(0, logits[at + action] - most - logTotal);
    if (extras.length > 1) {
      let entropy = 0;
      for (let i = 0; i < n; i++) {
        const log = logits[at + i] - most - logTotal;
        entropy -= Math.exp(log) * log;
      }
      extras[1][index] = Math.max(0, entropy);
    }
    return action;
  }

  arrays() {
    return {};
  }
}

/** The largest Q, or with probability ε any action. */
class EpsilonGreedy {
  output = "output:q";
  extras = ["q_taken", "q_max"];

  constructor(actions, { start = 1, end = 0.05, steps }) {
    Object.assign(this, { actions, start, end, steps, epsilon: start });
  }

  /** ε follows the env steps behind the weights, the same for all players. */
  begin(envSteps) {
    this.epsilon = this.start + (this.end - this.start) * Math.min(envSteps / this.steps, 1);
  }

  choose(q, at, extras, index) {
    let best = 0;
    for (let i = 1; i < this.actions; i++) if (q[at + i] > q[at + best]) best = i;
    const explores = Math.random() < this.epsilon;
    const action = explores ? Math.floor(Math.random() * this.actions) : best;
    extras[0][index] = q[at + action];
    extras[1][index] = q[at + best];
    return action;
  }

  arrays(slots) {
    const data = new Float64Array(slots).fill(this.epsilon);
    return { epsilons: { dtype: "float64", shape: [slots], data } };
  }
}
