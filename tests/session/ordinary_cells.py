"""Cells as people write them, on frames and arrays; none of them reaches everything.

One session, in this order, saved after the first cell alone.
"""

SETUP = """
import json, math, random, re
import numpy as np
import pandas as pd
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from pandas import Series

rng = np.random.default_rng(0)
n = 1000
df = pd.DataFrame({
    'id': np.arange(n),
    'city': rng.choice(['Rome', 'Oslo', 'Lima'], n),
    'price': rng.normal(100, 15, n),
    'when': pd.date_range('2024-01-01', periods=n, freq='h'),
    'flag': rng.integers(0, 2, n).astype(bool),
})
df.loc[::7, 'price'] = np.nan
prices = {'Rome': 1.2, 'Oslo': 2.1, 'Lima': 0.7}
X = rng.normal(size=(200, 5))
y = (X[:, 0] > 0).astype(int)
names = ['a', 'b', 'c']
text = 'The quick brown fox jumps over the lazy dog. ' * 3
config = {'seed': 1, 'paths': ['in', 'out'], 'deep': {'rate': 0.1}}
"""

CELLS = [
    "df.head()",
    "df.shape",
    "df.describe()",
    "df.dtypes",
    "df.info()",
    "df.isna().sum()",
    "df['price'].mean(), df['price'].std()",
    "df.columns",
    "df['city'].value_counts()",
    "df['city'].unique()",
    "df.sample(5, random_state=1)",
    "clean = df.dropna(subset=['price'])",
    "clean = clean.copy()",
    "clean['log'] = np.log(clean['price'].clip(lower=1))",
    "clean.loc[clean['price'] > 120, 'price'] = 120",
    "df['price'] = df['price'].fillna(df['price'].median())",
    "df['factor'] = df['city'].map(prices)",
    "df['net'] = df['price'] * df['factor']",
    "df['day'] = df['when'].dt.day_name()",
    "df['short'] = df['city'].str[:2].str.upper()",
    "by_city = df.groupby('city')['net'].agg(['mean', 'sum', 'count'])\nby_city",
    "by_city = by_city.sort_values('sum', ascending=False).reset_index()",
    "by_city.columns = ['city', 'mean', 'sum', 'count']",
    "table = df.pivot_table(index='city', columns='flag', values='net', aggfunc='mean')",
    "daily = df.set_index('when')['net'].resample('D').sum()",
    "daily.rolling(3).mean().tail()",
    "merged = df.merge(by_city, on='city', suffixes=('', '_all'))",
    "both = pd.concat([df.head(3), df.tail(3)], ignore_index=True)",
    "df['group'] = pd.cut(df['price'], bins=[0, 80, 120, 999], labels=['low', 'mid', 'high'])",
    "df['big'] = np.where(df['net'] > 100, 1, 0)",
    "df['square'] = df['price'].apply(lambda v: v ** 2)",
    "corr = df[['price', 'net', 'factor']].corr()\ncorr.round(2)",
    "for city, part in df.groupby('city'):\n    print(city, len(part), part['net'].mean())",
    "df.drop(columns=['square'], inplace=True)",
    "df.rename(columns={'net': 'total'}, inplace=True)",
    "df = df.sort_values('when').reset_index(drop=True)",
    "print(f'{len(df):,} rows, {df.memory_usage(deep=True).sum() / 1e6:.1f} MB')",
    "X.shape, y.mean()",
    "X = (X - X.mean(axis=0)) / X.std(axis=0)",
    "X[:, 0] *= 2\nX[X > 3] = 3",
    "idx = rng.permutation(len(X))\nX_train, X_test = X[idx[:150]], X[idx[150:]]",
    "y_train, y_test = y[idx[:150]], y[idx[150:]]",
    "w = np.zeros(X.shape[1])\nlosses = []",
    "for step in range(50):\n    p = 1 / (1 + np.exp(-X_train @ w))\n"
    "    w -= 0.1 * X_train.T @ (p - y_train) / len(y_train)\n"
    "    losses.append(float(np.mean((p - y_train) ** 2)))",
    "accuracy = ((X_test @ w > 0) == y_test).mean()\nprint('accuracy', round(accuracy, 3))",
    "u, s, vt = np.linalg.svd(X, full_matrices=False)\ns / s.sum()",
    "np.random.seed(1)\nnoise = np.random.randn(10)",
    "def rmse(a, b):\n    return math.sqrt(((a - b) ** 2).mean())",
    "rmse(X_test @ w, y_test)",
    "def normalise(v, *, by=None):\n    top = v.sum() if by else v.max()\n    return v/top",
    "normalise(daily)",
    "df['share'] = normalise(df['total'], by='sum')",
    "scores = [rmse(X[i:i + 20] @ w, y[i:i + 20]) for i in range(0, 200, 20)]\nmin(scores)",
    "words = re.findall(r'[a-z]+', text.lower())\nCounter(words).most_common(3)",
    "counts = defaultdict(int)\nfor word in words:\n    counts[word] += 1",
    "squares = {k: v ** 2 for k, v in prices.items() if v > 1}",
    "config['deep']['rate'] /= 2\nconfig['paths'].append('tmp')",
    "saved = json.dumps(config, indent=2)\nprint(saved)",
    "config = json.loads(saved)",
    "names.append('d')\nnames = sorted(names, key=len)",
    "i = 0\nwhile i < 10:\n    i += 1\nelse:\n    print(i)",
    "try:\n    value = int('x')\nexcept ValueError as error:\n    value = None\nvalue is None",
    "start = datetime(2024, 1, 1)\n[start + timedelta(days=d) for d in range(3)]",
    "import numpy as np\nfrom itertools import product\ngrid = list(product([1, 2], ['a', 'b']))",
    "random.seed(3)\nrandom.sample(names, 2)",
    "a, *rest = grid\nassert len(rest) == 3",
    "del merged, both",
    "assert df['price'].notna().all()",
    "Series(losses).describe()",
    "# what comes next\npass",
]
