/*
 * The worker's hash containers by the names it uses, from the standard library: Debian 12 has no package of
 * ankerl::unordered_dense, and the worker relies on nothing that the standard containers do not promise.
 */
#ifndef HANSETAG_ANKERL_UNORDERED_DENSE_H
#define HANSETAG_ANKERL_UNORDERED_DENSE_H

#include <functional>
#include <unordered_map>
#include <unordered_set>

namespace ankerl::unordered_dense
{
	template<typename Key>
	using hash = std::hash<Key>;

	template<typename Key, typename Value, typename Hash = hash<Key>>
	using map = std::unordered_map<Key, Value, Hash>;

	template<typename Key, typename Hash = hash<Key>>
	using set = std::unordered_set<Key, Hash>;
} // namespace ankerl::unordered_dense

#endif
