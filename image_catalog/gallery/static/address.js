// What is searched for, as it stands in the address: the same names as the options of search_images.py.

const NAMES = ["q", "mode", "after", "before", "camera", "lens", "folder", "near", "format", "tag", "orientation", "min_size", "has_text", "not", "like", "sort"];

// The known parameters of an address or form, in one order, without empty ones: equal searches have equal addresses.
export function asked(source) {
  const given = source instanceof URLSearchParams ? source : new URLSearchParams(source);
  const params = new URLSearchParams();
  for (const name of NAMES) for (const value of given.getAll(name)) if (value.trim()) params.append(name, value);
  return params;
}

// A copy with other values; null, "" and [] remove the parameter.
export function changed(params, values) {
  const copy = new URLSearchParams(params);
  for (const [name, value] of Object.entries(values)) {
    copy.delete(name);
    for (const one of [value ?? []].flat()) copy.append(name, one);
  }
  return asked(copy);
}

export function address(path, params) {
  const query = params.toString();
  return query ? `${path}?${query}` : path;
}

export function imageOf(location) {
  return /^\/image\/(\d+)$/.exec(location.pathname)?.[1] ?? null;
}

export const isTold = (params) => ["q", "like", "not"].some((name) => params.has(name));
