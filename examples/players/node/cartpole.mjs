// CartPole-v1 with Gymnasium's physics: Barto, Sutton and Anderson 1983, by Euler's method.

const GRAVITY = 9.8; // m/s²
const POLE_MASS = 0.1; // kg
const TOTAL_MASS = 1.1; // kg, with the cart
const HALF_LENGTH = 0.5; // m
const FORCE = 10; // N
const TICK_S = 0.02;
const MOST_X = 2.4; // m
const MOST_ANGLE = (12 * 2 * Math.PI) / 360; // rad

/** One cart. `state` is [x, x', angle, angle'], in m, rad and s. */
export class CartPole {
  constructor(mostSteps = 500) {
    this.mostSteps = mostSteps;
    this.reset();
  }

  /** Begins an episode, in `state` or at random within ±0.05. */
  reset(state = null) {
    this.state = state ?? Array.from({ length: 4 }, () => (Math.random() - 0.5) * 0.1);
    this.steps = 0;
  }

  /** Pushes to the right (1) or left (0); returns `{reward, terminated, truncated}`. */
  step(action) {
    const [x, speed, angle, turn] = this.state;
    const cos = Math.cos(angle);
    const sin = Math.sin(angle);
    const moment = POLE_MASS * HALF_LENGTH;
    const push = ((action === 1 ? FORCE : -FORCE) + moment * turn * turn * sin) / TOTAL_MASS;
    const inertia = HALF_LENGTH * (4 / 3 - (POLE_MASS * cos * cos) / TOTAL_MASS);
    const turning = (GRAVITY * sin - cos * push) / inertia;
    const moving = push - (moment * turning * cos) / TOTAL_MASS;
    this.state = [
      x + TICK_S * speed,
      speed + TICK_S * moving,
      angle + TICK_S * turn,
      turn + TICK_S * turning,
    ];
    this.steps += 1;
    const terminated = Math.abs(this.state[0]) > MOST_X || Math.abs(this.state[2]) > MOST_ANGLE;
    return { reward: 1, terminated, truncated: this.steps >= this.mostSteps };
  }
}
