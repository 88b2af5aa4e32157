"""A player written from docs/wire.md alone: it imports nothing of tinyqueue.

    python tests/foreign/player.py amqp://user:password@host:5672/vhost redis://host:6379/0 \
        [--record FILE] [--batches N]

It plays policies with one Discrete action and no recurrent state, without compression, in any
Gymnasium environment with Box observations; enough for CartPole.
"""

import argparse
import hashlib
import json
import os
import secrets
import socket
import struct
import time
from typing import Any
from urllib.parse import unquote, urlsplit

import amqp
import gymnasium
import msgpack
import numpy as np
import onnxruntime
import redis

DTYPES = ["?", "u1", "i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8", "<f2", "<f4", "<f8"]
GIVE_UP_S = 30.0


def frame(values, arrays):
    """Values and arrays as bytes."""
    entries = [
        [name, DTYPES.index(_code(array.dtype)) + 1, list(array.shape)]
        for name, array in arrays.items()
    ]
    head = msgpack.packb({**values, "arrays": entries})
    data = bytearray(struct.pack(">BI", 0xC6, len(head)) + head)
    for array in arrays.values():
        data += b"\xc0" * (-(len(data) + 5) % 8)
        data += struct.pack(">BI", 0xC6, array.nbytes) + array.tobytes()
    return bytes(data)


def unframe(data):
    """The values and arrays of a frame."""
    (length,) = struct.unpack_from(">I", data, 1)
    values = msgpack.unpackb(data[5 : 5 + length])
    at, arrays = 5 + length, {}
    for name, code, shape in values.pop("arrays"):
        at += -(at + 5) % 8
        assert data[at] == 0xC6
        (size,) = struct.unpack_from(">I", data, at + 1)
        at += 5
        arrays[name] = np.frombuffer(data[at : at + size], DTYPES[code - 1]).reshape(shape)
        at += size
    return values, arrays


def _code(dtype):
    name = dtype.str.lstrip("|")
    return {"b1": "?"}.get(name, name)


class Policy:
    """The newest weights of an experiment, in its graph."""

    def __init__(self, store, experiment, sha256):
        self.store, self.prefix = store, f"tinyqueue:{experiment}:"
        graph = store.get(f"{self.prefix}graph:{sha256}")
        assert hashlib.sha256(graph).hexdigest() == sha256
        self.session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
        self.version, self.weights = -1, {}

    def update(self):
        """Fetches the head, if it is another."""
        head = int(self.store.get(f"{self.prefix}head") or -1)
        data = self.store.get(f"{self.prefix}weights:{head}") if head > self.version else None
        if data is None:
            return
        assert hashlib.sha256(data[32:]).digest() == data[:32]
        values, arrays = unframe(data[32:])
        self.version = values["version"]
        self.weights = {f"weight:{name}": array for name, array in arrays.items()}

    def logits(self, seen):
        """``[B, n]`` of what was seen."""
        inputs = {"observation:": seen, **self.weights}
        return self.session.run(["output:logits"], inputs)[0]


class Stage:
    """B environments, played tick by tick."""

    def __init__(self, spec, spec_version, login):
        self.spec, self.spec_version, self.login = spec, spec_version, login
        self.id, self.n = secrets.token_hex(16), 0
        slots, environment = spec["slots"], spec["environment"]
        self.environments = [
            gymnasium.make(environment["id"], **environment["kwargs"]) for _ in range(slots)
        ]
        self.rng = np.random.default_rng()
        self.seen = np.stack([e.reset()[0] for e in self.environments]).astype(np.float32)
        self.ended = np.zeros(slots, bool)
        self.steps = np.zeros(slots, np.int32)
        self.returns, self.began_s = np.zeros(slots), np.full(slots, time.monotonic())
        self.action, self.reward = np.zeros(slots, self.dtype), np.zeros(slots, np.float32)

    @property
    def dtype(self):
        return self.spec["action_space"][""]["dtype"]

    def play(self, policy):
        """The arrays of the next batch, and the seconds that it took."""
        ticks, slots = self.spec["ticks"], self.spec["slots"]
        began_s = time.monotonic()
        observations = np.empty((ticks + 1, *self.seen.shape), np.float32)
        actions = np.zeros((ticks, slots), self.dtype)
        log_probs, rewards = np.zeros((2, ticks, slots), np.float32)
        terminated, truncated, valid = np.zeros((3, ticks, slots), bool)
        carry = {
            "carry/episode_steps": self.steps.copy(),
            "carry/previous_reward": self.reward.copy(),
            "carry/previous_action": self.action.copy(),
        }
        episodes = []
        for tick in range(ticks):
            observations[tick] = self.seen
            logits = policy.logits(self.seen).astype(np.float64)
            logits -= logits.max(axis=1, keepdims=True)
            log_softmax = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
            gumbel = self.rng.gumbel(size=logits.shape)
            actions[tick] = (logits + gumbel).argmax(axis=1)
            log_probs[tick] = log_softmax[np.arange(slots), actions[tick]]
            for slot, environment in enumerate(self.environments):
                if self.ended[slot]:
                    self.seen[slot] = environment.reset()[0]
                    self.ended[slot] = False
                    self.began_s[slot] = time.monotonic()
                    self.action[slot], self.reward[slot] = 0, 0.0
                    continue
                valid[tick, slot] = True
                action = int(actions[tick, slot])
                self.seen[slot], reward, over, cut, _ = environment.step(action)
                rewards[tick, slot], terminated[tick, slot], truncated[tick, slot] = (
                    reward, over, cut
                )  # fmt: skip
                self.action[slot], self.reward[slot] = action, reward
                self.steps[slot] += 1
                self.returns[slot] += reward
                if over or cut:
                    seconds = time.monotonic() - self.began_s[slot]
                    episodes.append((slot, self.steps[slot], self.returns[slot], seconds))
                    self.ended[slot], self.steps[slot], self.returns[slot] = True, 0, 0.0
        observations[ticks] = self.seen
        arrays = {
            "observations/": observations,
            "actions/": actions,
            "rewards": rewards,
            "terminated": terminated,
            "truncated": truncated,
            "valid": valid,
            "extras/behaviour_log_prob": np.minimum(log_probs, 0.0),
            **carry,
        }
        if episodes:
            columns = list(zip(*episodes, strict=True))
            for name, dtype, column in zip(
                ("slots", "lengths", "returns", "seconds"), ("<i4", "<i4", "<f4", "<f4"), columns,
                strict=True,
            ):  # fmt: skip
                arrays[f"episodes/{name}"] = np.array(column, dtype)
        return arrays, time.monotonic() - began_s


def confirming(connection):
    """A channel on which the broker confirms what it has stored."""
    channel = connection.channel()
    channel.confirm_select()
    return channel


class Player:
    """Takes tasks, and publishes what it has played."""

    def __init__(self, broker_url, redis_url, record, most_batches):
        parts = urlsplit(broker_url)
        self.login = unquote(parts.username)
        self.name = f"{socket.gethostname()}:{os.getpid()}:foreign"
        self.connection = amqp.Connection(
            f"{parts.hostname}:{parts.port or 5672}",
            self.login,
            unquote(parts.password),
            virtual_host=unquote(parts.path[1:]) or "/",
        )
        self.connection.connect()
        self.answers: list[str] = []
        self.out = confirming(self.connection)
        self.out.events["basic_ack"].add(lambda *_: self.answers.append("ack"))
        self.out.events["basic_nack"].add(lambda *_: self.answers.append("nack"))
        self.out.events["basic_return"].add(lambda *_: self.answers.append("returned"))
        self.store: Any = redis.Redis.from_url(redis_url)
        self.record, self.left = record, most_batches
        self.stage = self.policy = None
        self.dropped, self.ended = [], []
        self.tasks = self.connection.channel()

    def run(self):
        """Plays until as many batches are confirmed as were asked for."""
        # Last of all: a task may come with the very answer.
        self.tasks.basic_qos(0, 1, False)
        self.tasks.basic_consume("play", callback=self.on_task)
        while self.left > 0:
            self.connection.drain_events()
        self.connection.close()

    def on_task(self, message):
        if message.headers["task"] != "play-episode":
            self.tasks.basic_reject(message.delivery_tag, requeue=False)
            return
        _, task, _ = json.loads(message.body)
        self.play(message.headers["id"], task)
        self.tasks.basic_ack(message.delivery_tag)

    def play(self, task_id, task):
        if not self.prepare(task["experiment"], task["run"]):
            return
        deadline_s = time.monotonic() + task["budget_s"]
        while self.left > 0:
            self.policy.update()
            arrays, play_s = self.stage.play(self.policy)
            is_last = time.monotonic() + play_s / 2 >= deadline_s
            if is_last:
                self.ended.append(task_id)
            is_confirmed = self.deliver(task_id, arrays, play_s)
            self.stage.n += 1
            if is_last or not is_confirmed:
                return

    def prepare(self, experiment, run):
        """Whether there is a stage for this run."""
        text = self.store.get(f"tinyqueue:{experiment}:spec")
        spec = json.loads(text)
        if spec["run"] != run:
            return False
        version = int(hashlib.sha256(text).hexdigest()[:12], 16)
        if self.stage is None or self.stage.spec_version != version:
            self.stage = Stage(spec, version, self.login)
            self.policy = Policy(self.store, experiment, spec["graph_sha256"])
        return True

    def deliver(self, task_id, arrays, play_s):
        """Publishes a batch until it is confirmed, or gives it up."""
        stage, spec = self.stage, self.stage.spec
        shared = {
            "experiment": spec["experiment"],
            "run": spec["run"],
            "player": self.name,
            "policy_version": self.policy.version,
            "spec_version": stage.spec_version,
        }
        header = shared | {
            "stage": stage.id,
            "n": stage.n,
            "user": self.login,
            "task": task_id,
            "ended_tasks": self.ended,
            "seed": 0,
            "play_s": float(play_s),
            "dropped": self.dropped,
        }
        body = frame({"header": header, "slot_major": False}, arrays)
        headers = shared | {
            "schema": 1,
            "ticks": spec["ticks"],
            "slots": spec["slots"],
            "env_steps": int(arrays["valid"].sum()),
            "codec": "none",
            "raw_bytes": len(body),
        }
        properties = {
            "content_type": "application/x-tinyqueue-session",
            "message_id": f"{stage.id}:{stage.n}",
            "correlation_id": task_id,
            "user_id": self.login,
            "app_id": "tinyqueue",
            "delivery_mode": 2,
        }
        answer = self.publish(body, headers, properties, spec["experiment"])
        if answer == "ack":
            self.left -= 1
            self.ended, self.dropped = [], []
            if self.record:
                with open(self.record, "ab") as file:
                    file.write(msgpack.packb([1, properties, headers, body]))
            return True
        reason = "no learner" if answer == "returned" else "queue full"
        self.dropped.append([reason, stage.n, 1])
        return False

    def publish(self, body, headers, properties, experiment):
        end_s = time.monotonic() + GIVE_UP_S
        while True:
            self.answers.clear()
            self.out.basic_publish(
                amqp.Message(body, application_headers=headers, **properties),
                "experience",
                f"{experiment}.{self.login}",
                mandatory=True,
            )
            # In a publisher's channel every answer ends with an ack or a nack.
            while not {"ack", "nack"} & set(self.answers):
                self.connection.drain_events(timeout=10)
            if "returned" in self.answers:
                return "returned"
            if "ack" in self.answers or time.monotonic() > end_s:
                return "ack" if "ack" in self.answers else "nack"
            time.sleep(0.02)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("broker_url")
    parser.add_argument("redis_url")
    parser.add_argument("--record")
    parser.add_argument("--batches", type=int, default=2**62)
    wanted = parser.parse_args()
    Player(wanted.broker_url, wanted.redis_url, wanted.record, wanted.batches).run()


if __name__ == "__main__":
    main()
