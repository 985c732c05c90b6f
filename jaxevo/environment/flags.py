"""XLA's flags, and why each is set.

Every flag is tried before it is used, since XLA aborts at one it does not know. The options of TPUs are those of each
compilation, which is repeated without them if the compiler does not know one.
"""

CPU_FLAGS = (
    # Networks of ten layers would hand their work to the one pool thread, and a second lane would gain nothing.
    "--xla_cpu_enable_concurrency_optimized_scheduler=false",
    # Compiles 10 % faster than the default level and runs as fast.
    "--xla_backend_optimization_level=1",
    # Compiles 30 % faster than the newer emitters, and what it compiles runs as fast. JAX 0.11 has only the newer ones,
    # and compiling costs about twice as much there.
    "--xla_cpu_use_fusion_emitters=false",
    # One LLVM module per program: another 15 % less work. Lanes keep the cores busy, so splitting it gains no time.
    "--xla_cpu_parallel_codegen_split_count=1",
)

GPU_DETERMINISTIC = "--xla_gpu_deterministic_ops=true"

GPU_FLAGS = (
    # Deterministic operations imply that no kernel is chosen by timing. The flag that turns autotuning off,
    # --xla_gpu_autotune_level=0, must not be set as well: cuDNN then convolves by its first algorithm, 17 times slower
    # for ResNet-20 on an H100.
    GPU_DETERMINISTIC,
    # With deterministic operations XLA's Triton kernels fail to compile some small matrix products (on an H100, JAX
    # 0.11.2).
    "--xla_gpu_enable_triton_gemm=false",
)

TPU_OPTIONS: dict[str, str | bool] = {
    # Where a program's compilation spends most of its time, the search for the tiles of its convolutions, ends at tiles
    # of 0.9 times the speed that the compiler aims at. Three convolutions compile in a third of the time, and a step
    # takes 6 % more cycles by the compiler's estimate for a v5e (docs/accelerators.md).
    "xla_jf_convolution_performance_target": "0.9",
}
