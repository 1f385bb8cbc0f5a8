"""The handlers of the AI SDK's chat: what its `useChat` sends and reads."""
