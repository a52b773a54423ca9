"""Runs the integration tests of Pinecone's own SDK on the emulator: `make pinecone-sdk`."""
