"""Work queues: subjects with due times, in the process itself or in Redis."""
