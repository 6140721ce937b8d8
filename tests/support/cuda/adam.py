"""Adam written by hand as gpuopt generates kernels, and with NumPy: what the harness is tried on."""

from __future__ import annotations

from typing import Any

import numpy as np

SCALARS = {"lr_h": 1e-3, "beta1_h": 0.9, "beta2_h": 0.999, "eps_h": 1e-8, "c0": 1 - 0.9, "c1": 1 - 0.999}
REAL_TYPES = {"float64": "double", "complex128": "double"}

REAL_BODY = """
const {real} p_old = p_io; const {real} m_old = m_io; const {real} v_old = v_io; const {real} g_old = g_in;
const {real} m_new = beta1_h * m_old + c0 * g_old;
const {real} v_new = beta2_h * v_old + c1 * (g_old * g_old);
p_io = {item}(p_old - lr_h * (m_new / (sqrt(v_new) + eps_h))); m_io = m_new; v_io = v_new;"""

COMPLEX_BODY = """
const {item} p_old = p_io; const {item} m_old = m_io; const {real} v_old = v_io; const {item} g_old = g_in;
const {real} m_re = beta1_h * m_old.real() + c0 * g_old.real();
const {real} m_im = beta1_h * m_old.imag() + c0 * g_old.imag();
const {real} v_new = beta2_h * v_old + c1 * (g_old.real() * g_old.real() + g_old.imag() * g_old.imag());
const {real} scale = sqrt(v_new) + eps_h;
p_io = {item}(p_old.real() - lr_h * (m_re / scale), p_old.imag() - lr_h * (m_im / scale));
m_io = {item}(m_re, m_im); v_io = v_new;"""


def state_dtypes(name: str) -> tuple[str, str]:
    """Return the dtypes of Adam's moments: float32 where the parameter is narrower, the second one real."""
    second = "float64" if name in REAL_TYPES else "float32"
    return (name if name.startswith("complex") else second), second


def adam(cupy: Any, name: str) -> Any:
    """Make Adam as gpuopt generates it: old values first, stores last, scalars of the real type."""
    first, second = state_dtypes(name)
    real = REAL_TYPES.get(name, "float")
    is_complex = name.startswith("complex")
    item = f"complex<{real}>" if is_complex else {"float32": "float", "float64": "double"}.get(name, name)
    scalars = ", ".join(f"{second} {scalar}" for scalar in SCALARS)
    body = (COMPLEX_BODY if is_complex else REAL_BODY).format(real=real, item=item)
    return cupy.ElementwiseKernel(
        f"{name} g_in, {scalars}",
        f"{name} p_io, {first} m_io, {second} v_io",
        body,
        f"adam_{name}",
        options=("--fmad=false",),
    )


def adam_numpy(name: str, g: Any, p: Any, m: Any, v: Any) -> tuple[Any, Any, Any]:
    """Compute the same step with NumPy, operation by operation in the real type."""
    real = np.dtype(state_dtypes(name)[1])
    lr, beta1, beta2, eps, c0, c1 = (real.type(value) for value in SCALARS.values())
    if not name.startswith("complex"):
        wide_g, wide_p = g.astype(real), p.astype(real)
        m_new = beta1 * m + c0 * wide_g
        v_new = beta2 * v + c1 * (wide_g * wide_g)
        return (wide_p - lr * (m_new / (np.sqrt(v_new) + eps))).astype(p.dtype), m_new, v_new
    m_parts = [beta1 * m.real + c0 * g.real, beta1 * m.imag + c0 * g.imag]
    v_new = beta2 * v + c1 * (g.real * g.real + g.imag * g.imag)
    scale = np.sqrt(v_new) + eps
    p_parts = [p.real - lr * (m_parts[0] / scale), p.imag - lr * (m_parts[1] / scale)]
    return _join(p_parts, p.dtype), _join(m_parts, m.dtype), v_new


def _join(parts: list[Any], dtype: Any) -> Any:
    """Make complex numbers of real and imaginary parts, without arithmetic."""
    joined = np.empty(parts[0].shape, dtype)
    joined.real, joined.imag = parts
    return joined
