// One connection to RabbitMQ: docs/wire.md, "Publishing".

import amqplib from "amqplib";

const CONFIRM_MS = 5000;
const HEARTBEAT_S = 30;

/** Takes tasks and publishes. It declares nothing, and after a loss it is not used again. */
export class Broker {
  /** Connects. `closed` then becomes the reason for which the connection was lost. */
  static async open(url) {
    const broker = new Broker();
    const at = new URL(url);
    broker.login = decodeURIComponent(at.username);
    broker.connection = await amqplib.connect({
      protocol: at.protocol.slice(0, -1),
      hostname: at.hostname,
      port: at.port ? Number(at.port) : undefined,
      username: broker.login,
      password: decodeURIComponent(at.password),
      vhost: decodeURIComponent(at.pathname.slice(1)) || "/",
      heartbeat: HEARTBEAT_S,
    });
    let resolve;
    broker.closed = new Promise((done) => (resolve = done));
    broker.lose = (reason) => {
      resolve(reason);
      broker.onAnswer?.(new Error(reason));
    };
    broker.connection.on("error", (error) => broker.lose(error.message));
    broker.connection.on("close", () => broker.lose("the connection was closed"));
    broker.tasks = await broker.connection.createChannel();
    broker.out = await broker.connection.createConfirmChannel();
    // A 403 or 404 closes its channel alone.
    for (const one of [broker.tasks, broker.out]) one.on("error", (error) => broker.lose(error.message));
    broker.out.on("return", (message) => (broker.returned = message.properties.messageId));
    return broker;
  }

  /** Calls `onTask` with one message of the queue at a time, until it has been acked. */
  async consume(queue, onTask) {
    await this.tasks.prefetch(1);
    await this.tasks.consume(queue, (message) => {
      if (message) onTask(message);
      else this.lose(`the broker ended the consumer of ${queue}`);
    });
  }

  /**
   * Publishes once: `confirmed`, `full` or `no learner`. An Error if the broker gives no answer or
   * the connection is lost; the message may then have arrived all the same.
   */
  async publish(experiment, body, headers, properties) {
    const answer = await new Promise((resolve, reject) => {
      const silent = setTimeout(() => this.lose("the broker does not confirm"), CONFIRM_MS);
      this.onAnswer = (error) => {
        clearTimeout(silent);
        this.onAnswer = null;
        if (!error) resolve("confirmed");
        else if (error.message === "message nacked") resolve("full");
        else reject(error);
      };
      this.out.publish(
        "experience",
        `${experiment}.${this.login}`,
        body,
        {
          mandatory: true,
          deliveryMode: properties.delivery_mode,
          contentType: properties.content_type,
          messageId: properties.message_id,
          correlationId: properties.correlation_id,
          userId: properties.user_id,
          appId: properties.app_id,
          headers: typed(headers),
        },
        (error) => this.onAnswer?.(error),
      );
    });
    // What no queue takes is returned first, and then confirmed.
    const isReturned = answer === "confirmed" && this.returned === properties.message_id;
    return isReturned ? "no learner" : answer;
  }

  async close() {
    await this.connection.close().catch(() => {});
  }
}

// 64-bit integers whatever their size: libraries disagree about the code of 16-bit ones.
function typed(headers) {
  const entries = Object.entries(headers).map(([name, value]) => [
    name,
    typeof value === "number" ? { "!": "int64", value } : value,
  ]);
  return Object.fromEntries(entries);
}
