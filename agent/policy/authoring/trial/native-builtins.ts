/**
 * The builtins that the compiler calls inside the module (OPA 1.22), by the function of the runtime that does the work.
 * The linker drops a function that nobody calls.
 */
export const nativeFunctions: ReadonlyMap<string, readonly string[]> = new Map([
  ['opa_arith_plus', ['plus']],
  ['opa_arith_minus', ['minus']],
  ['opa_arith_multiply', ['mul']],
  ['opa_arith_divide', ['div']],
  ['opa_arith_abs', ['abs']],
  ['opa_arith_round', ['round']],
  ['opa_arith_ceil', ['ceil']],
  ['opa_arith_floor', ['floor']],
  ['opa_arith_rem', ['rem']],
  ['opa_array_concat', ['array.concat']],
  ['opa_array_flatten', ['array.flatten']],
  ['opa_array_reverse', ['array.reverse']],
  ['opa_array_slice', ['array.slice']],
  ['opa_set_diff', ['set_diff']],
  ['opa_set_intersection', ['and']],
  ['opa_set_union', ['or']],
  ['opa_sets_intersection', ['intersection']],
  ['opa_sets_union', ['union']],
  ['opa_types_is_number', ['is_number']],
  ['opa_types_is_string', ['is_string']],
  ['opa_types_is_boolean', ['is_boolean']],
  ['opa_types_is_array', ['is_array']],
  ['opa_types_is_set', ['is_set']],
  ['opa_types_is_object', ['is_object']],
  ['opa_types_is_null', ['is_null']],
  ['opa_types_name', ['type_name']],
  ['opa_bits_or', ['bits.or']],
  ['opa_bits_and', ['bits.and']],
  ['opa_bits_negate', ['bits.negate']],
  ['opa_bits_xor', ['bits.xor']],
  ['opa_bits_shiftleft', ['bits.lsh']],
  ['opa_bits_shiftright', ['bits.rsh']],
  ['opa_agg_count', ['count']],
  ['opa_agg_sum', ['sum']],
  ['opa_agg_product', ['product']],
  ['opa_agg_max', ['max']],
  ['opa_agg_min', ['min']],
  ['opa_agg_sort', ['sort']],
  ['opa_agg_all', ['all']],
  ['opa_agg_any', ['any']],
  ['opa_base64_is_valid', ['base64.is_valid']],
  ['opa_base64_decode', ['base64.decode']],
  ['opa_base64_encode', ['base64.encode']],
  ['opa_base64_url_encode', ['base64url.encode']],
  ['opa_base64_url_decode', ['base64url.decode']],
  ['opa_cidr_contains', ['net.cidr_contains', 'net.cidr_overlap']],
  ['opa_cidr_intersects', ['net.cidr_intersects']],
  ['opa_cmp_eq', ['equal']],
  ['opa_cmp_gt', ['gt']],
  ['opa_cmp_gte', ['gte']],
  ['opa_cmp_lt', ['lt']],
  ['opa_cmp_lte', ['lte']],
  ['opa_cmp_neq', ['neq']],
  ['opa_glob_match', ['glob.match']],
  ['opa_json_marshal', ['json.marshal']],
  ['opa_json_unmarshal', ['json.unmarshal']],
  ['opa_json_is_valid', ['json.is_valid']],
  ['builtin_object_filter', ['object.filter']],
  ['builtin_object_get', ['object.get']],
  ['builtin_object_keys', ['object.keys']],
  ['builtin_object_remove', ['object.remove']],
  ['builtin_object_union', ['object.union']],
  ['builtin_object_union_n', ['object.union_n']],
  ['opa_strings_concat', ['concat']],
  ['opa_strings_format_int', ['format_int']],
  ['opa_strings_indexof', ['indexof']],
  ['opa_strings_substring', ['substring']],
  ['opa_strings_lower', ['lower']],
  ['opa_strings_upper', ['upper']],
  ['opa_strings_contains', ['contains']],
  ['opa_strings_startswith', ['startswith']],
  ['opa_strings_endswith', ['endswith']],
  ['opa_strings_reverse', ['strings.reverse']],
  ['opa_strings_split', ['split']],
  ['opa_strings_replace', ['replace']],
  ['opa_strings_replace_n', ['strings.replace_n']],
  ['opa_strings_trim', ['trim']],
  ['opa_strings_trim_left', ['trim_left']],
  ['opa_strings_trim_prefix', ['trim_prefix']],
  ['opa_strings_trim_right', ['trim_right']],
  ['opa_strings_trim_suffix', ['trim_suffix']],
  ['opa_strings_trim_space', ['trim_space']],
  ['opa_template_string', ['internal.template_string']],
  ['opa_numbers_range', ['numbers.range']],
  ['opa_to_number', ['to_number']],
  ['opa_value_transitive_closure', ['walk']],
  ['builtin_graph_reachable', ['graph.reachable']],
  ['opa_regex_is_valid', ['regex.is_valid']],
  ['opa_regex_match', ['regex.match', 're_match']],
  ['opa_regex_find_all_string_submatch', ['regex.find_all_string_submatch_n']],
  ['builtin_json_remove', ['json.remove']],
  ['builtin_json_filter', ['json.filter']],
  ['builtin_member', ['internal.member_2']],
  ['builtin_member3', ['internal.member_3']],
])

/** Reads a LEB128 number. */
function unsigned(bytes: Buffer, at: number): { readonly value: number; readonly next: number } {
  let [value, shift, next] = [0, 0, at]
  for (;;) {
    const byte = bytes[next++] ?? 0
    value += (byte & 0x7f) * 2 ** shift
    if ((byte & 0x80) === 0) return { value, next }
    shift += 7
  }
}

/**
 * Names of the builtins that a module brings itself. Two that share a function are both named.
 *
 * @returns nothing where the module's names were stripped.
 * @see https://webassembly.github.io/spec/core/appendix/custom.html#name-section
 */
export function nativeBuiltins(module: WebAssembly.Module): string[] {
  const [section] = WebAssembly.Module.customSections(module, 'name')
  if (section === undefined) return []
  const bytes = Buffer.from(section)
  const found: string[] = []
  for (let at = 0; at < bytes.length; ) {
    const id = bytes[at]
    const size = unsigned(bytes, at + 1)
    at = size.next + size.value
    if (id !== 1) continue
    let { value: count, next } = unsigned(bytes, size.next)
    for (; count > 0; count--) {
      const length = unsigned(bytes, unsigned(bytes, next).next)
      next = length.next + length.value
      found.push(...(nativeFunctions.get(bytes.toString('utf8', length.next, next)) ?? []))
    }
  }
  return found.sort()
}
