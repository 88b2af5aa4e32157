"""Faults of RabbitMQ, of Redis, and of the network between."""

from __future__ import annotations

import contextlib
import os
import signal
import time

import redis
from meanwhile import meanwhile

from fault_campaign.fault import Acting, Fault
from fault_campaign.kept import signal_if_alive

MOST_S = 60.0


def stop_app(acting: Acting) -> str:
    node = acting.world.broker
    node.eval("rabbit:stop().")
    try:
        acting.wait()
    finally:
        node.eval("rabbit:start().")
    return ""


def kill_broker(acting: Acting) -> str:
    acting.world.broker.kill()
    acting.wait()
    acting.world.broker.start()
    return ""


def freeze_broker(acting: Acting) -> str:
    pid = acting.world.broker.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        acting.wait()
    finally:
        signal_if_alive(pid, signal.SIGCONT)
    return ""


def memory_alarm(acting: Acting) -> str:
    node = acting.world.broker
    node.eval("vm_memory_monitor:set_vm_memory_high_watermark(0.0001).")
    try:
        acting.wait()
    finally:
        node.eval("vm_memory_monitor:set_vm_memory_high_watermark(0.6).")
    return ""


def disk_alarm(acting: Acting) -> str:
    node = acting.world.broker
    node.eval('rabbit_disk_monitor:set_disk_free_limit("1000TB").')
    try:
        acting.wait()
    finally:
        node.eval('rabbit_disk_monitor:set_disk_free_limit("1GB").')
    return ""


def close_connections(acting: Acting) -> str:
    # Some end by themselves after they were listed; closing those raises.
    close = '(catch rabbit_networking:close_connection(C, "fault"))'
    acting.world.broker.eval(f"[{close} || C <- rabbit_networking:connections()].")
    return ""


def broker_silent(acting: Acting) -> str:
    """For the connections of one learner and one player, which come back as they were."""
    return _silent(acting, lost=False)


def broker_half_open(acting: Acting) -> str:
    """For the same ones, which never hear of these connections again."""
    return _silent(acting, lost=True)


def _silent(acting: Acting, *, lost: bool) -> str:
    acting.world.to_broker.fall_silent()
    try:
        acting.wait()
    finally:
        acting.world.to_broker.pass_again(lost=lost)
    return ""


def kill_redis(acting: Acting) -> str:
    acting.world.versions.store_is_emptied()
    acting.world.redis.kill()
    acting.wait()
    acting.world.redis.start()
    return ""


def freeze_redis(acting: Acting) -> str:
    pid = acting.world.redis.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        acting.wait()
    finally:
        signal_if_alive(pid, signal.SIGCONT)
    return ""


def pause_redis(acting: Acting) -> str:
    with acting.world.redis.admin() as client:
        client.execute_command("CLIENT", "PAUSE", round(acting.lasts_s * 1000), "ALL")
    acting.wait()
    return ""


def busy_redis(acting: Acting) -> str:
    """A script of somebody else's; after a moment others are told BUSY."""
    with acting.world.redis.admin(timeout_s=None) as client:
        client.config_set("busy-reply-threshold", 300)
        with (
            meanwhile(acting.lasts_s, _kill_script, acting),
            contextlib.suppress(redis.ResponseError),
        ):
            client.eval("while true do end", 0)
        client.config_set("busy-reply-threshold", 5000)
    return ""


def _kill_script(acting: Acting) -> None:
    with acting.world.redis.admin() as client:
        client.execute_command("SCRIPT", "KILL")


def flush_redis(acting: Acting) -> str:
    acting.world.versions.store_is_emptied()
    with acting.world.redis.admin() as client:
        client.flushall()
    return ""


def full_redis(acting: Acting) -> str:
    """No room for values. Connections keep theirs, which is a share of it in redis.conf."""
    limits = {"maxmemory-clients": "0", "maxmemory": "1"}
    with acting.world.redis.admin() as client:
        before = {name: client.config_get(name)[name] for name in limits}
        try:
            for name, value in limits.items():
                client.config_set(name, value)
            acting.wait()
        finally:
            for name in reversed(limits):
                client.config_set(name, before[name])
    return ""


def redis_half_open(acting: Acting) -> str:
    acting.world.to_redis.fall_silent()
    try:
        acting.wait()
    finally:
        acting.world.to_redis.pass_again(lost=True)
    return ""


def both_gone(acting: Acting) -> str:
    """As when the machine of both is started anew."""
    acting.world.versions.store_is_emptied()
    acting.world.redis.kill()
    acting.world.broker.kill()
    time.sleep(acting.lasts_s)
    acting.world.redis.start()
    acting.world.broker.start()
    return ""


FAULTS = (
    Fault("broker-app", "broker", "stop_app, then start_app", stop_app, 1, MOST_S),
    Fault("broker-kill", "broker", "kill -9 of RabbitMQ, then a start", kill_broker, 0.1, 20),
    Fault("broker-stop", "broker", "SIGSTOP of RabbitMQ", freeze_broker, 1, 30),
    Fault("memory-alarm", "broker", "RabbitMQ's memory alarm", memory_alarm, 1, 30),
    Fault("disk-alarm", "broker", "RabbitMQ's disk alarm", disk_alarm, 1, 30),
    Fault("connections-closed", "broker", "RabbitMQ closes all connections", close_connections),
    Fault(
        "broker-silent",
        "broker",
        "connections of a learner and a player carry nothing for a while",
        broker_silent,
        *(1, 20),
    ),
    Fault(
        "broker-half-open",
        "broker",
        "connections of a learner and a player never carry anything again",
        broker_half_open,
        *(1, 20),
    ),
    Fault("redis-kill", "redis", "kill -9 of Redis, then a start", kill_redis, 0.1, 20),
    Fault("redis-stop", "redis", "SIGSTOP of Redis", freeze_redis, 1, MOST_S),
    Fault("redis-pause", "redis", "CLIENT PAUSE … ALL", pause_redis, 1, MOST_S),
    Fault("redis-busy", "redis", "a script that does not end, BUSY for others", busy_redis, 1, 30),
    Fault("redis-flush", "redis", "FLUSHALL", flush_redis),
    Fault("redis-full", "redis", "maxmemory 1: every write is refused", full_redis, 1, 30),
    Fault(
        "redis-half-open",
        "redis",
        "connections of a learner and a player never carry anything again",
        redis_half_open,
        *(1, 20),
    ),
    Fault("both-gone", "broker", "kill -9 of RabbitMQ and Redis, then a start", both_gone, 0.1, 10),
)
