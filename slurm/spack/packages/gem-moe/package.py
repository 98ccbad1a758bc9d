# Recipe of Spack: spack repo add slurm/spack && spack install gem-moe
import contextlib
import os

with contextlib.suppress(ImportError):  # before Spack 1.0 spack.package has them
    from spack_repo.builtin.build_systems.cmake import CMakePackage
    from spack_repo.builtin.build_systems.cuda import CudaPackage
from spack.package import *


class GemMoe(CMakePackage, CudaPackage):
    """Profiles unequal GPUs, maps the experts of Mixture-of-Experts models to them, and verifies by replay."""

    homepage = "https://arxiv.org/abs/2605.19945"
    # The source tree that this recipe lies in: spack dev-build, or spack develop --path.
    has_code = True
    url = "file://" + os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", "..", ".."))

    license("Apache-2.0")
    version("0.2.0", branch="main", git=url)

    variant("openblas", default=False, description="OpenBLAS instead of oneDNN for the host device")
    variant("analysis", default=True, description="What gem-analysis needs to run")

    depends_on("cxx", type="build")
    depends_on("c", type="build")
    depends_on("cmake@3.22:", type="build")
    depends_on("ninja", type="build")
    depends_on("mpi")
    depends_on("hdf5~mpi")
    depends_on("boost+program_options")
    depends_on("fmt@9:")
    depends_on("nlohmann-json")
    depends_on("tomlplusplus")
    depends_on("zlib-api")
    depends_on("onednn", when="~openblas")
    depends_on("openblas", when="+openblas")
    depends_on("cuda@12:", when="+cuda")
    depends_on("nccl", when="+cuda")
    with when("+analysis"):
        depends_on("python@3.10:", type="run")
        depends_on("py-numpy", type="run")
        depends_on("py-h5py", type="run")
        depends_on("py-jinja2", type="run")

    generator("ninja")

    def cmake_args(self):
        return [
            self.define_from_variant("GEM_GPU", "cuda"),
            self.define("GEM_TESTS", False),
            self.define("GEM_HOST_GEMM", "openblas" if self.spec.satisfies("+openblas") else "onednn"),
        ]
