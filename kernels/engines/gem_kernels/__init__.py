"""Kernels of serving engines as devices of GEM: gem-profile --device command --command 'python3 -m gem_kernels.torch'.

Each module is one engine; base.py speaks the protocol of src/device/command/README.md for all of them.
"""
