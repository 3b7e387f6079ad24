"""Functions and methods that change nothing of what they are given (pure).

Called by `reach_reads`.

A word stands for whatever of the known types and modules has that name: `add` is not here, because
it is a method of sets as well. Some take an array to write to, or a wish to change in place, as a
later argument; such a word is good for less arguments by position than its number says.
"""

from collections.abc import Mapping
from typing import Final

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


READING_BUILTINS: Final = _words("""
    abs all any ascii bin bool bytes callable chr complex dict display divmod enumerate filter float
    format frozenset hash hex id int isinstance issubclass iter len list map max min next object oct
    ord pow print range repr reversed round set slice sorted str sum tuple type zip
    Ellipsis NotImplemented True False None
""")
"""`next` and `iter` are here because no iterator is of a known type: it was e in the cell."""

WRITING_ARGUMENTS: Final = _words("""
    out inplace overwrite overwrite_input overwrite_a overwrite_b buf file path_or_buf aggfunc
    func memo transient metadata
""")
"""Arguments by which a function is told to change something, or to call what a text names."""

MANY: Final = 1 << 16
_LOOKS: Final = """
    T columns index values dtype dtypes shape size ndim nbytes itemsize strides flags base empty
    iloc loc iat at axes name names levels nlevels is_unique is_monotonic_increasing
    is_monotonic_decreasing array real imag attrs

    head tail describe nunique unique value_counts isna isnull notna notnull count memory_usage
    corr cov mode idxmax idxmin nlargest nsmallest select_dtypes duplicated isin between diff
    pct_change shift rank melt unstack explode pivot merge join get_dummies cut qcut
    groupby get_group groups ngroups indices first last nth cumcount rolling expanding ewm
    xs squeeze swaplevel droplevel reorder_levels get_level_values equals compare nsmallest
    to_dict to_list tolist to_numpy to_frame to_records to_series items iterrows
    itertuples keys get astype copy assign filter convert_dtypes infer_objects reindex
    reindex_like align truncate rename_axis set_axis add_prefix add_suffix first_valid_index
    last_valid_index skew kurt sem eq ne lt le gt ge rsub rmul autocorr searchsorted
    date_range to_datetime to_numeric to_timedelta timedelta_range period_range wide_to_long
    factorize interval_range bdate_range Timestamp Timedelta Period Interval DataFrame Series Index
    MultiIndex Categorical CategoricalDtype

    str dt cat year month day hour minute second microsecond nanosecond weekday dayofweek dayofyear
    quarter day_name month_name date time days seconds total_seconds normalize tz_localize
    tz_convert to_period to_timestamp isocalendar is_month_end is_month_start is_year_end
    is_year_start categories codes ordered tz freq days_in_month

    upper lower title capitalize swapcase casefold strip lstrip rstrip split rsplit splitlines
    rindex zfill ljust rjust center
    encode decode expandtabs removeprefix
    removesuffix contains match fullmatch extract extractall findall slice len wrap pad cat get
    format isidentifier maketrans translate

    union intersection difference symmetric_difference issubset issuperset isdisjoint most_common
    total elements as_integer_ratio bit_length bit_count hex is_integer fromkeys

    reshape ravel flatten transpose swapaxes moveaxis expand_dims broadcast_to atleast_1d atleast_2d
    asarray array ascontiguousarray zeros ones empty_like zeros_like ones_like full full_like arange
    linspace logspace geomspace eye identity diag diagonal tri tril triu meshgrid indices vander
    argsort argwhere nonzero flatnonzero count_nonzero unravel_index ravel_multi_index tobytes item
    view repeat tile roll flip fliplr flipud hstack vstack dstack column_stack array_split
    hsplit vsplit histogram histogram2d bincount digitize interp polyfit polyval corrcoef
    array_equal array_equiv allclose isclose shares_memory may_share_memory isscalar iscomplex
    isreal result_type can_cast finfo iinfo ndarray float16 float32 float64 int8 int16 int32 int64
    uint8 uint16 uint32 uint64 bool_ complex64 complex128 datetime64 timedelta64 pi e inf nan tau
    newaxis euler_gamma setdiff1d intersect1d union1d isin lexsort trapezoid gradient ediff1d kron
    inner vdot cross tensordot linalg norm inv det eig eigh eigvals eigvalsh solve lstsq pinv
    matrix_rank cond slogdet svd qr cholesky

    date datetime timedelta timezone now today utcnow fromisoformat isoformat strftime strptime
    timestamp timetuple toordinal fromtimestamp fromordinal weekday isoweekday astimezone
    utc tzinfo min max resolution perf_counter monotonic time_ns process_time sleep ctime gmtime
    localtime mktime

    math cmath factorial comb perm isqrt dist fsum erf erfc lgamma
    ulp
    json dumps loads re compile search finditer escape sub subn group groupdict span start end
    collections Counter OrderedDict deque statistics fmean stdev pstdev variance pvariance
    itertools chain from_iterable product permutations combinations combinations_with_replacement
    islice zip_longest takewhile dropwhile pairwise batched groupby
    functools operator itemgetter string ascii_letters ascii_lowercase ascii_uppercase digits
    punctuation textwrap dedent indent shorten fractions Fraction numerator denominator
    bisect bisect_left bisect_right heapq merge nlargest nsmallest typing numbers calendar
    monthrange isleap month_abbr
"""
_ONE_GIVEN: Final = """
    all any argmax argmin max min round nanargmax nanargmin drop rename reset_index set_index
    sort_values sort_index fillna ffill bfill dropna drop_duplicates interpolate
    abs absolute exp exp2 expm1 log log2 log10 log1p sqrt square cbrt reciprocal negative positive
    sign sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh floor ceil rint
    trunc isnan isinf isfinite signbit deg2rad rad2deg fabs logical_not invert dot cummax
    cummin set_names choose deepcopy info asin acos
    atan degrees radians frexp modf
"""
_TWO_GIVEN: Final = """
    mean sum prod std var cumsum cumprod median nanmedian take compress ptp nanmax nanmin
    nancumsum nancumprod concatenate stack outer matmul multiply divide true_divide floor_divide
    er mod remainder fmod maximum minimum fmax fmin greater greater_equal less less_equal equal
    not_equal arctan2 logaddexp logical_and logical_or logical_xor bitwise_and bitwise_or
    bitwise_xor clip replace where mask trace mul div truediv floordiv hypot gcd lcm copysign ldexp
    nextafter pow concat atan2
"""
_NONE_GIVEN: Final = """
    to_string conj conjugate isalpha isdigit isspace isnumeric isdecimal isalnum islower isupper
    istitle
"""
_FOUR_GIVEN: Final = "startswith endswith find rfind"
_THREE_GIVEN: Final = "quantile percentile nanquantile nanpercentile nanmean nansum nanstd nanvar"


def _limits() -> Mapping[str, int]:
    found = dict.fromkeys(_LOOKS.split(), MANY)
    for given, words in (
        (5, _FOUR_GIVEN),
        (4, _THREE_GIVEN),
        (3, _TWO_GIVEN),
        (2, _ONE_GIVEN),
        (1, _NONE_GIVEN),
    ):
        # The later ones are the stricter ones.
        found.update(dict.fromkeys(words.split(), given))
    return found


READING_WORDS: Final = _limits()
"""How many arguments by position are too many, by word."""
