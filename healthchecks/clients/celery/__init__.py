"""Celery without its library: a test task and a question to all workers, through RabbitMQ or Redis."""
