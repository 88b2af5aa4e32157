"""The only way data flows: exchanges and queues, publishing with confirms, consuming with acks.

RabbitMQ and Redis do the same job behind :class:`~tinyqueue.bus.publisher.ExperiencePublisher`
and :class:`~tinyqueue.bus.consumer.ExperienceConsumer`; the differences are in the modules
named after them.
"""
