"""Takes a copy of vLLM's fused_moe.py where vLLM isn't installed: of what it imports, that which the kernel and its
launcher use is made here, the rest stands in by name only."""
import importlib.util
import os
import sys
import types
from unittest.mock import MagicMock

from gem_kernels.base import Refusal

USED = ("try_get_optimal_moe_config", "invoke_fused_moe_triton_kernel")


class _StandIns:
    """Finds every module below vllm."""

    def __init__(self, made):
        self.made = made

    def find_spec(self, name, _path=None, _target=None):
        if name.split(".")[0] != "vllm":
            return None
        return importlib.util.spec_from_loader(name, self, is_package=True)

    def create_module(self, spec):
        module = types.ModuleType(spec.name)
        made = self.made.get(spec.name, {})
        module.__getattr__ = lambda name: made[name] if name in made else MagicMock(name=f"{spec.name}.{name}")
        module.__path__ = []
        return module

    def exec_module(self, module):
        pass


def _made(torch, triton):
    off = MagicMock(VLLM_BATCH_INVARIANT=False, VLLM_TUNED_CONFIG_FOLDER=None)
    hip = bool(torch.version.hip)
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    platform = MagicMock(is_rocm=lambda: hip, is_cuda=lambda: not hip)
    return {
        "vllm": {"envs": off},
        "vllm.envs": {"VLLM_BATCH_INVARIANT": False, "VLLM_TUNED_CONFIG_FOLDER": os.environ.get("VLLM_TUNED_CONFIG_FOLDER")},
        "vllm.platforms": {"current_platform": platform},
        "vllm.triton_utils": {"triton": triton, "tl": triton.language},
        "vllm.utils.math_utils": {"next_power_of_2": triton.next_power_of_2},
        "vllm.utils.platform_utils": {
            "get_device_name_as_file_name": lambda: name.replace(" ", "_")
        },
        "vllm.model_executor.layers.fused_moe": {"get_config": lambda: None},
        "vllm.model_executor.layers.fused_moe.utils": {
            "enable_swap_ab": lambda *_: False,
            "resolve_moe_use_td": lambda: False,
            "warn_if_moe_use_td_ineffective": lambda *_, **__: None,
        },
    }


def _silu_and_multiply(torch, triton):
    """[row, 2 * n] -> [row, n], as one kernel."""
    from gem_kernels.vllm_activation import silu_and_multiply_kernel

    def silu_and_multiply(both):
        rows, columns = both.shape[0], both.shape[1] // 2
        out = torch.empty((rows, columns), dtype=both.dtype, device=both.device)
        block = min(1024, triton.next_power_of_2(columns))
        silu_and_multiply_kernel[(rows, triton.cdiv(columns, block))](both, out, columns, BLOCK=block)
        return out

    return silu_and_multiply


def load(path, torch, triton):
    """The file as a module, with silu_and_multiply beside what it has. Refusal where it isn't that file."""
    if not os.path.exists(path):
        raise Refusal(f"--kernel-file {path}: there is no such file; copy fused_moe.py of a vLLM there")
    finder = _StandIns(_made(torch, triton))
    sys.meta_path.insert(0, finder)
    try:
        spec = importlib.util.spec_from_file_location("gem_kernels_vllm_file", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        missing = [name for name in USED if not hasattr(module, name)]
    except (ImportError, SyntaxError, AttributeError) as error:
        raise Refusal(f"--kernel-file {path}: it can't be taken ({error}); vLLM 0.33's can") from error
    if missing:
        raise Refusal(f"--kernel-file {path}: it has no {' and no '.join(missing)}; vLLM 0.33's has")
    module.silu_and_multiply = _silu_and_multiply(torch, triton)
    return module
