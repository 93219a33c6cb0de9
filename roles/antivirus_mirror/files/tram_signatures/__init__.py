"""What the hub does to make signatures, try them, sign them and publish them (docs/contracts/signatures.md)."""
