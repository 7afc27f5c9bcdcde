"""The package on a real GPU, with PyTorch's tensors; and CuPy's, where it is."""

import pytest

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch has no GPU"),
    pytest.mark.usefixtures("nvrtc"),
]


def test_a_kernel_runs_on_the_current_stream(fms, saxpy):
    n = 1 << 20
    x, y = torch.randn(n, device="cuda"), torch.randn(n, device="cuda")
    expected = 2 * x + y
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        torch.cuda._sleep(10_000_000)  # what the kernel must come after
        y.add_(1)
        saxpy[n // 256, 256](n, 2.0, x, y, T=torch.float32)
    stream.synchronize()
    torch.testing.assert_close(y, expected + 1)


def test_a_stream_that_is_given_is_used(fms, saxpy):
    x, y = torch.ones(256, device="cuda"), torch.zeros(256, device="cuda")
    torch.cuda.synchronize()
    stream = torch.cuda.Stream()
    saxpy[1, 256, 0, stream](256, 1.0, x, y)
    stream.synchronize()
    assert y.eq(1).all()


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_every_type(fms, saxpy, dtype):
    x = torch.arange(100, device="cuda").to(getattr(torch, dtype))
    y = torch.ones_like(x)
    saxpy[1, 128](100, 2.0, x, y, T=x.dtype)
    torch.testing.assert_close(y, 2 * x + 1)


def test_a_prepared_kernel_is_captured_into_a_graph(fms, saxpy):
    x, y = torch.ones(256, device="cuda"), torch.zeros(256, device="cuda")
    kernel = saxpy.prepare(T=torch.float32, device=x.device)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        kernel[1, 256](256, 1.0, x, y)
    assert y.eq(0).all()
    for _ in range(3):
        graph.replay()
    torch.cuda.synchronize()
    assert y.eq(3).all()


def test_in_a_capture_a_new_kernel_is_an_error(fms, empty_store):
    template = fms.jit('extern "C" __global__ void fresh(float* x) { *x += 1; }')
    x = torch.zeros(1, device="cuda")
    graph = torch.cuda.CUDAGraph()
    with pytest.raises(fms.CapturingError, match="fresh"):
        with torch.cuda.graph(graph):
            template[1, 1](x)
    torch.cuda.synchronize()


def test_arrays_on_two_devices_are_refused(fms, saxpy):
    with pytest.raises(TypeError, match="on cuda:0, and argument 4 on the CPU"):
        saxpy[1, 1](1, 1.0, torch.ones(1, device="cuda"), torch.ones(1))


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="one GPU")
def test_the_arrays_device_is_where_it_runs(fms, saxpy):
    for device in ("cuda:1", "cuda:0"):
        x, y = torch.ones(8, device=device), torch.zeros(8, device=device)
        saxpy[1, 8](8, 1.0, x, y)
        torch.cuda.synchronize(device)
        assert y.eq(1).all()


@pytest.mark.parametrize("dtype, tolerance", [("float32", 2e-5), ("float16", 2e-3),
                                              ("bfloat16", 1.6e-2)])
@pytest.mark.parametrize("causal", [False, True])
def test_attention_is_that_of_sdpa(fms, dtype, tolerance, causal):
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, h, 129, 64, device="cuda").to(getattr(torch, dtype))
               for h in (8, 2, 2))
    out = fms.flash_attention_science(q, k, v, causal=causal)
    k, v = (x.repeat_interleave(4, dim=1).double() for x in (k, v))
    expected = torch.nn.functional.scaled_dot_product_attention(q.double(), k, v, is_causal=causal)
    assert out.dtype == q.dtype
    torch.testing.assert_close(out.double(), expected, rtol=0, atol=tolerance)


def test_attention_runs_on_the_current_stream(fms):
    q = torch.randn(1, 64, 4, 64, device="cuda")
    expected, expected_lse = fms.attention(q, q, q, return_lse=True)
    stream = torch.cuda.Stream()
    late = torch.zeros_like(q)
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        torch.cuda._sleep(10_000_000)
        late.copy_(q)
        out, lse = fms.attention(late, late, late, return_lse=True)
    stream.synchronize()
    torch.testing.assert_close(out, expected, rtol=0, atol=0)
    torch.testing.assert_close(lse, expected_lse, rtol=0, atol=0)


def test_cupy_arrays_run_on_cupys_stream(fms, saxpy):
    cupy = pytest.importorskip("cupy")
    x, y = cupy.ones(256, cupy.float32), cupy.zeros(256, cupy.float32)
    stream = cupy.cuda.Stream(non_blocking=True)
    stream.wait_event(cupy.cuda.get_current_stream().record())
    with stream:
        y += 1
        saxpy[1, 256](256, 1.0, x, y)
    stream.synchronize()
    assert (y == 2).all()
    q = cupy.random.standard_normal((1, 8, 2, 16)).astype(cupy.float16)
    assert fms.attention(q, q, q).shape == q.shape


def test_jax_arrays_are_inputs(fms, saxpy):
    jax = pytest.importorskip("jax")
    if jax.default_backend() != "gpu":
        pytest.skip("JAX has no GPU")
    x, y = jax.numpy.ones(256), torch.zeros(256, device="cuda")
    saxpy[1, 256](256, 1.0, x, y)
    torch.cuda.synchronize()
    assert y.eq(1).all()
