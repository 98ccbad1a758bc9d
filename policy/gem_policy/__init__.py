"""GEM as the policy by which vLLM and SGLang place experts. Imports no engine and no torch by itself: the engines load
`gem_policy.vllm` and `gem_policy.sglang` through their own plug-ins. Settings: `gem_policy.settings`."""

__version__ = "0.2.0"
