"""Services and processes on one machine: players, and private Redis and RabbitMQ servers."""
