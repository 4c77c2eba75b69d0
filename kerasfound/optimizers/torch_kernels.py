"""The equations of the optimizers for torch: in place, on the lists of all weights and gradients.

Each function has the name that an optimizer gives as its `torch_kernel`, and computes what `update_step` computes
there. `w`: the weights, `g`: the gradients, `state(slots)`: the values of these slots, `alpha`: the learning rate.
"""

import torch
from keras import ops


@torch.no_grad()
def update(kernel, optimizer, gradients, variables, learning_rate):
    """Run `kernel`, one of the functions below, on all variables; without a kernel `update_step` on each of them."""
    if kernel is None:
        for gradient, variable in zip(gradients, variables, strict=True):
            optimizer.update_step(gradient, variable, learning_rate)
        return
    w = [variable.value for variable in variables]
    g = [ops.convert_to_tensor(g, v.dtype) for g, v in zip(gradients, variables, strict=True)]
    indices = [optimizer._get_variable_index(variable) for variable in variables]
    kernel(optimizer, w, g, lambda slots: [slots[i].value for i in indices], learning_rate)


def gradient_descent(optimizer, w, g, state, alpha):
    torch._foreach_sub_(w, torch._foreach_mul(g, alpha))


def sgd(optimizer, w, g, state, alpha):
    if not optimizer.momentum:
        gradient_descent(optimizer, w, g, state, alpha)
    elif optimizer.nesterov:
        nesterov(optimizer, w, g, state, alpha)
    else:
        momentum(optimizer, w, g, state, alpha)


def momentum(optimizer, w, g, state, alpha):
    v = state(optimizer.velocity)
    torch._foreach_mul_(v, optimizer.momentum)
    torch._foreach_sub_(v, torch._foreach_mul(g, alpha))
    torch._foreach_add_(w, v)


def nesterov(optimizer, w, g, state, alpha):
    v, step = state(optimizer.velocity), torch._foreach_mul(g, alpha)
    torch._foreach_mul_(v, optimizer.momentum)
    torch._foreach_sub_(v, step)
    torch._foreach_add_(w, torch._foreach_sub(torch._foreach_mul(v, optimizer.momentum), step))


def adagrad(optimizer, w, g, state, alpha):
    s = state(optimizer.square_sum)
    torch._foreach_addcmul_(s, g, g)
    root = torch._foreach_sqrt(torch._foreach_add(s, optimizer.epsilon))
    torch._foreach_sub_(w, torch._foreach_div(torch._foreach_mul(g, alpha), root))


def rmsprop(optimizer, w, g, state, alpha):
    v = state(optimizer.mean_square)
    torch._foreach_mul_(v, optimizer.rho)
    torch._foreach_addcmul_(v, g, g, value=1 - optimizer.rho)
    if optimizer.centered:
        m = state(optimizer.mean)
        torch._foreach_mul_(m, optimizer.rho)
        torch._foreach_add_(m, g, alpha=1 - optimizer.rho)
        v = torch._foreach_addcmul(v, m, m, value=-1)
    root = torch._foreach_add(v, optimizer.epsilon)
    torch._foreach_sqrt_(root)
    step = torch._foreach_div(torch._foreach_mul(g, alpha), root)
    if optimizer.momentum:
        b = state(optimizer.last_step)
        torch._foreach_mul_(b, optimizer.momentum)
        torch._foreach_add_(b, step)
        step = b
    torch._foreach_sub_(w, step)


def adam(optimizer, w, g, state, alpha):
    m, v, beta_1, beta_2 = state(optimizer.mean), state(optimizer.mean_square), optimizer.beta_1, optimizer.beta_2
    t = ops.cast(optimizer.iterations + 1, torch.promote_types(w[0].dtype, torch.float32))
    torch._foreach_mul_(m, beta_1)
    torch._foreach_add_(m, g, alpha=1 - beta_1)
    torch._foreach_mul_(v, beta_2)
    torch._foreach_addcmul_(v, g, g, value=1 - beta_2)
    if optimizer.amsgrad:
        largest = state(optimizer.largest)
        torch._foreach_maximum_(largest, v)
        v = largest
    root_t = torch.sqrt(1 - beta_2**t)
    root = torch._foreach_sqrt(v)
    torch._foreach_add_(root, optimizer.epsilon * root_t if optimizer.algorithm_1 else optimizer.epsilon)
    step = torch._foreach_mul(m, alpha * root_t / (1 - beta_1**t))
    torch._foreach_sub_(w, torch._foreach_div(step, root))


def lion(optimizer, w, g, state, alpha):
    m, beta_1, beta_2 = state(optimizer.mean), optimizer.beta_1, optimizer.beta_2
    direction = torch._foreach_mul(m, beta_1)
    torch._foreach_add_(direction, g, alpha=1 - beta_1)
    torch._foreach_sign_(direction)
    torch._foreach_mul_(direction, alpha)
    torch._foreach_sub_(w, direction)
    torch._foreach_mul_(m, beta_2)
    torch._foreach_add_(m, g, alpha=1 - beta_2)
