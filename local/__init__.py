"""One machine: the deployed app on an AWS emulator, driven the way AWS drives it."""
