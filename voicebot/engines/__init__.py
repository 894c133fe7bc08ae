"""What does a stage's work: blocking code that knows nothing of asyncio, events or processes."""
