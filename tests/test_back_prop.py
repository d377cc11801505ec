"""The code of `lectures/back_prop.md` as its readers get it: the cells of the built notebook."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lectures import run_code_cells

PUBLISHED = dict(  # a network whose gradient and update are known from elsewhere
    w=(-1.3489481, -0.007831605, 0.21138735), b=(0.3795624, 0.4482378, -0.07742085), x=5.0, y=3.0
)
GRADS = ("grad_ad", "grad_la", "grad_bp")
DEPTHS = (1, 2, 3, 8, 50)


@pytest.fixture(scope="session")
def ns():
    """The lecture's names after all of its cells ran."""
    return run_code_cells("back_prop")


@pytest.fixture
def published(ns):
    """Params, x and y of the published network."""
    params = ns["Params"](jnp.array(PUBLISHED["w"]), jnp.array(PUBLISHED["b"]))
    return params, PUBLISHED["x"], PUBLISHED["y"]


def stacked(params):
    """The vector p = (w_1, b_1, …, w_N, b_N)."""
    return np.stack(params, axis=-1).reshape(-1)


def networks(N):
    """Weights and biases of depth N, and a point with its target, in float64."""
    number = st.floats(-3, 3, allow_nan=False, width=64)
    return st.tuples(
        hnp.arrays(np.float64, N, elements=number),
        hnp.arrays(np.float64, N, elements=number),
        number,
        number,
    )


# The gradient


@pytest.mark.parametrize("grad", GRADS)
def test_one_update_of_the_published_network(ns, published, grad):
    params, x, y = published
    updated = ns["update"](params, ns[grad](params, x, y), 0.01)
    np.testing.assert_allclose(updated.w, (-1.3489482, -0.007829059, 0.22937916), rtol=3e-7)
    np.testing.assert_allclose(updated.b, (0.37956238, 0.44972023, -0.047936566), rtol=3e-7)


def test_derivative_rows_of_the_published_network(ns, published):
    D, _ = ns["linear_system"](*published[:2])
    rows = D[np.arange(3)[:, None], np.arange(6).reshape(3, 2)]
    np.testing.assert_allclose(rows[:, 0], (8.5726520e-03, 4.0850643e-04, 6.1021703e-01), rtol=3e-7)
    np.testing.assert_allclose(rows[:, 1], (1.7145304e-03, 2.3785220e-01, 1.0), rtol=3e-7)


@pytest.mark.parametrize("N", DEPTHS)
def test_gradients_agree_with_each_other_and_with_finite_differences(ns, N):
    with jax.enable_x64(True):
        compiled = [jax.jit(ns[grad]) for grad in GRADS]

        @jax.jit
        def differences(p, x, y, h=1e-6):
            """Central differences of the loss, one for each entry of p."""

            def shifted(shift):
                return ns["loss"](ns["Params"](*(p + shift).reshape(N, 2).T), x, y)

            shifts = h * jnp.eye(2 * N)
            return (jax.vmap(shifted)(shifts) - jax.vmap(shifted)(-shifts)) / (2 * h)

        @settings(max_examples=25, deadline=None)
        @given(networks(N))
        def agree(network):
            w, b, x, y = network
            params = ns["Params"](jnp.array(w), jnp.array(b))
            ad, la, bp = (stacked(grad(params, x, y)) for grad in compiled)
            scale = np.abs(ad).max()
            np.testing.assert_allclose(la, ad, rtol=1e-9, atol=1e-13 * scale)
            np.testing.assert_allclose(bp, ad, rtol=1e-9, atol=1e-13 * scale)
            np.testing.assert_allclose(
                la, differences(stacked(params), x, y), atol=1e-5 * (1 + scale)
            )

        agree()


@pytest.mark.parametrize("N", DEPTHS)
def test_linear_system_is_that_of_the_jacobian(ns, N):
    with jax.enable_x64(True):
        params = ns["init_params"](jax.random.key(N), N)
        params = jax.tree.map(lambda p: p.astype(jnp.float64), params)
        D, L = ns["linear_system"](params, 0.7)
        assert D.shape == (N, 2 * N) and L.shape == (N, N)
        jacobian = jax.jacobian(lambda p: ns["forward"](p, 0.7)[0][1:])(params)
        J = np.stack([jacobian.w, jacobian.b], axis=-1).reshape(N, 2 * N)
        np.testing.assert_allclose(J, D + L @ J, atol=1e-14)
        # Each node's own parameters alone are in D, and the node before it alone in L.
        assert not np.any(D * (1 - np.kron(np.eye(N), [1, 1])))
        assert not np.any(L * (1 - np.eye(N, k=-1)))
        if N > 1:
            xs, δ = ns["forward"](params, 0.7)
            np.testing.assert_allclose(np.diag(L, -1), δ[1:] * params.w[1:], rtol=1e-15)


# The functions under JAX's transformations


def test_forward_and_predict_compose_the_layers(ns, published):
    params, x, _ = published
    xs, δ = ns["forward"](params, x)
    assert xs.shape == (4,) and δ.shape == (3,)
    nodes = [x]
    for i, (w, b) in enumerate(zip(*params)):
        z = float(w) * nodes[-1] + float(b)
        nodes.append(z if i == 2 else 1 / (1 + np.exp(-z)))
    np.testing.assert_allclose(xs, nodes, rtol=1e-6)
    assert ns["predict"](params, x).shape == ()
    assert float(ns["predict"](params, x)) == float(xs[-1])


@pytest.mark.parametrize("N", (1, 3))
def test_functions_work_under_jit_vmap_and_in_float64(ns, N):
    keys = jax.random.split(jax.random.key(0), 4)
    with jax.enable_x64(True):
        params = jax.vmap(ns["init_params"], (0, None))(keys, N)
        assert params.w.shape == (4, N) and params.w.dtype == jnp.float64
        for name in ("forward", "predict", "linear_system"):
            f = ns[name]
            batched = jax.jit(jax.vmap(f, (0, None)))(params, 1.3)
            single = f(jax.tree.map(lambda p: p[2], params), 1.3)
            for all_, one in zip(jax.tree.leaves(batched), jax.tree.leaves(single)):
                assert one.dtype == jnp.float64
                np.testing.assert_allclose(all_[2], one, rtol=1e-12, atol=1e-15)
        for name in (*GRADS, "loss"):
            batched = jax.jit(jax.vmap(ns[name], (0, None, None)))(params, 1.3, 0.2)
            assert all(leaf.dtype == jnp.float64 for leaf in jax.tree.leaves(batched))


def test_train_works_under_jit_and_vmap(ns):
    keys = jax.random.split(jax.random.key(0), 3)
    start = ns["init_params"](jax.random.key(1), 2)

    def final(key):
        return ns["train"](start, ns["grid"], ns["f_log"], key, num_epochs=4)[1]

    batched = jax.jit(jax.vmap(final))(keys)
    assert batched.shape == (3, 4)
    np.testing.assert_allclose(batched[1], final(keys[1]), rtol=1e-4)


# Training


def test_each_epoch_visits_each_point_once_in_an_order_of_its_own(ns):
    """Fold the points into the weight so that the result tells the order."""
    c = 1.01
    start = ns["Params"](jnp.zeros(1), jnp.zeros(1))
    grid = jnp.linspace(0.1, 1, 20)

    def fold(params, x, y):  # w ← c w + x and b ← b + x, for step size 1
        return ns["Params"](params.w - c * params.w - x, jnp.full(1, -x))

    path, _ = ns["training_path"](
        start,
        grid,
        grid,
        jax.random.key(3),
        loss=ns["loss"],
        grad=fold,
        step_size=1.0,
        num_epochs=6,
    )
    sums = np.diff(np.concatenate([[0], path.b[:, 0]]))
    np.testing.assert_allclose(sums, float(grid.sum()), rtol=1e-5)
    w = np.concatenate([[0], path.w[:, 0]])
    folded = w[1:] - c ** len(grid) * w[:-1]
    gaps = np.abs(folded[:, None] - folded[None, :])[~np.eye(6, dtype=bool)]
    assert gaps.min() > 1e-3  # the same order twice would fold into the same number


def test_train_is_reproducible_by_key(ns):
    start = ns["init_params"](jax.random.key(0), 3)

    def run(seed):
        key = jax.random.key(seed)
        params, losses = ns["train"](start, ns["grid"], ns["f_line"], key, num_epochs=5)
        return np.concatenate([stacked(params), losses])

    np.testing.assert_array_equal(run(1), run(1))
    assert np.any(run(1) != run(2))


def test_train_reports_the_mean_loss_of_the_parameters_it_returns(ns):
    params, losses = ns["params_line"], ns["losses_line"]
    assert losses.shape == (500,)
    mean = float(jnp.mean(jax.vmap(ns["loss"], (None, 0, 0))(params, ns["grid"], ns["f_line"])))
    assert float(losses[-1]) == pytest.approx(mean, rel=1e-4)


@pytest.mark.parametrize("grad", GRADS)
def test_train_learns_example_1_by_every_gradient(ns, grad):
    _, losses = ns["train"](
        ns["params_start"], ns["grid"], ns["f_line"], ns["key_train"],
        grad=ns[grad], num_epochs=500,
    )  # fmt: skip
    assert losses[-1] < 0.05
    assert losses[-1] < losses[0] / 100


@pytest.mark.parametrize(
    "change, named",
    [
        (dict(grid=jnp.ones(7)), "grid"),
        (dict(grid=jnp.ones(0), f_vals=jnp.ones(0)), "grid"),
        (dict(step_size=0.0), "step_size"),
        (dict(step_size=-0.1), "step_size"),
        (dict(step_size=float("nan")), "step_size"),
        (dict(num_epochs=0), "num_epochs"),
        (dict(params=(jnp.zeros(0), jnp.zeros(0))), "params"),
    ],
)
def test_train_names_the_bad_argument(ns, change, named):
    arguments = dict(params=ns["params_line"], grid=jnp.ones(5), f_vals=jnp.ones(5)) | change
    arguments["params"] = ns["Params"](*arguments["params"])
    with pytest.raises(ValueError, match=named):
        ns["train"](**arguments, key=jax.random.key(0))


@pytest.mark.parametrize("N", (0, -2))
def test_init_params_names_a_bad_depth(ns, N):
    with pytest.raises(ValueError, match="N must"):
        ns["init_params"](jax.random.key(0), N)


def test_init_params_are_standard_normal(ns):
    params = ns["init_params"](jax.random.key(0), 20_000)
    for values in params:
        assert abs(float(values.mean())) < 0.03 and abs(float(values.std()) - 1) < 0.03
    assert abs(np.corrcoef(*params)[0, 1]) < 0.03


# What the prose says of the results


def test_example_1_waits_on_a_plateau_and_then_falls(ns):
    losses, sizes = ns["losses_line"], ns["sizes"]
    plateau = float(jnp.var(ns["f_line"]) / 2)
    assert np.all(np.abs(losses[2:65] / plateau - 1) < 0.03)
    assert losses[99] < losses[59] / 20
    assert np.all(sizes[:61, 2] > 10 * sizes[:61, :2].max(axis=1))
    assert np.all(sizes[100:, 0] > sizes[100:, 1:].max(axis=1))
    assert 0.005 < losses[-1] < 0.02


def test_gradients_vanish_by_a_factor_of_ten_a_layer(ns):
    for N, typical in ns["typical"].items():
        assert typical[-1] == 1
        assert 8 < float(typical[0]) ** (-1 / (N - 1)) < 12.5
    assert ns["typical"][10][0] < 1e-9


def test_depth_and_step_size_matter_as_the_table_is_said_to_show(ns):
    loss, constant = ns["median_loss"], float(jnp.var(ns["f_line"]) / 2)
    third_layer = loss[3] / loss[2]
    for N in (2, 3):
        assert min(loss[N][0], loss[N][2]) / loss[N][1] > third_layer.max() > 1
    assert np.all(np.abs(loss[5] / constant - 1) < 0.05)
    assert np.all(loss[1] < 1e-8)


def test_one_layer_finds_the_line(ns):
    np.testing.assert_allclose(stacked(ns["params_exact"]), (-3, 2), atol=1e-4)
    assert ns["losses_exact"][-1] < 1e-10


def test_example_2_bends_with_two_layers_and_with_three(ns):
    final = {N: float(losses[-1]) for N, losses in ns["losses_log"].items()}
    assert final[2] < final[1] / 3 and final[3] < final[1] / 3
    assert final[3] > final[2]


def test_most_starts_end_well_and_some_are_late(ns):
    failed, final, constant = ns["failed"], ns["final"], float(ns["constant"])
    assert 0 < failed.mean() < 0.5
    assert jnp.median(final[failed]) > 0.9 * constant
    assert jnp.median(final[~failed]) < 0.005
    messages = ns["messages"]
    assert jnp.median(messages[failed]) < jnp.median(messages[~failed]) / 10
    assert ns["still_failed"].sum() < failed.sum() / 10
