"""How numbers are shown and recorded: with digits that say something, however small or large the number."""


def format_number(value: float) -> str:
    """Four decimals, or four significant digits where that would show zeros only; one decimal from 1,000 up.

    Example:
        >>> [format_number(value) for value in (0.8123456, 0.0, 2.34567e-9, 42400.123, -12.5)]
        ['0.8123', '0.0000', '2.346e-09', '42400.1', '-12.5000']
    """
    size = abs(value)
    if size == 0 or 1e-3 <= size < 1e3:
        return f"{value:.4f}"
    return f"{value:.1f}" if 1e3 <= size < 1e9 else f"{value:.4g}"


def round_significant(value: float) -> float:
    """The nearest number with seven significant digits, which is what float32 holds.

    Example:
        >>> round_significant(1.23456789e-9), round_significant(42400.123456)
        (1.234568e-09, 42400.12)
    """
    return float(f"{value:.7g}")
