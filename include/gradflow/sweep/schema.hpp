#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gradflow/sweep/value.hpp"

namespace gradflow::sweep {

/// What a key accepts. Integers serve for reals, never the reverse.
enum class Type {
  boolean,          ///< bool
  integer,          ///< int64
  real,             ///< double
  text,             ///< string
  name,             ///< NamedValue: "tanh" or { name = "leaky_relu", slope = 0.1 }
  integers,         ///< list of int64
  texts,            ///< list of strings
  seed,             ///< int64 holding 64 bits: an integer, or the decimal digits of any uint64 in quotes
  real_or_text,     ///< double or string: 1.0 | "1/sqrt(depth)"
  integer_or_text,  ///< int64 or string: 40 | "all"
};

/// What a value of `type` looks like, for messages: "an integer".
std::string_view expected(Type type);

/// Empty if the value is acceptable; otherwise what was read and what was expected, the text after "key: ".
using Complaint = std::function<std::string(const Value&)>;

/// A value for a key, by the key's name.
struct Assignment {
  std::string key;
  Value value;
};

/// What a value says, in the one of several spellings that enters the hash: widths = [8, 8, 8] says depth = 2
/// and width = 8. Frozen as canonical() is.
using Spelling = std::function<std::vector<Assignment>(const Value&)>;

/// One key that a sweep file may hold.
struct Key {
  std::string name;  ///< with its section: "init.sigma_w"
  Type type = Type::real;
  /// The value of a file without the key; none: the key is absent unless given. Enters no hash, so a default
  /// may never change after its first release: the finished points of old files would be taken for others.
  std::optional<Value> fallback;
  std::string doc;
  Complaint complaint;      ///< beyond the type; may be empty
  Spelling spelling = {};   ///< of values that can be said in two ways; empty: the value itself
  bool enters_hash = true;  ///< false for what cannot change a result
  bool may_sweep = true;    ///< false for what all points share; true needs enters_hash
};

/// Every number (of a list: every entry) is at least `bound`. Texts pass.
Complaint at_least(double bound);
/// Every number is larger than `bound`. Texts pass.
Complaint above(double bound);
/// Every number is in [low, high]. Texts pass.
Complaint between(double low, double high);
/// Every text or name is one of `names`, and a name comes without parameters; numbers pass.
/// @param kind what the names are: "scheme"
Complaint one_of(std::string kind, std::vector<std::string> names);

/// Every text of a list is one of `names`, of which there are too many for a message.
/// @param where  they are listed: "gradflow list statistics"
Complaint each_of(std::string kind, std::vector<std::string> names, std::string where);

/// A name that a key may hold, and its parameters with the values they have where a file gives none.
struct Choice {
  std::string name;
  std::map<std::string, Parameter> parameters;
};

/// Every name is that of a choice, every parameter one of that choice's and of its default's type.
/// @param kind what the names are: "activation"
Complaint choice_of(std::string kind, std::vector<Choice> choices);

/// { name = "leaky_relu", slope = 0.01 } says what "leaky_relu" says, if that is its default. So no default
/// of a parameter may ever change.
Spelling without_defaults(std::string key, std::vector<Choice> choices);

/// What `value` says by the spelling of `key`.
std::vector<Assignment> spelled(const Key& key, const Value& value);

/// The keys that a sweep file may hold. Sections are what stands before the last dot of a name.
///
/// A key `title` (Type::text), if there is one, names the sweep.
class Schema {
 public:
  /// @pre names are distinct, none lies inside another, coordinate names are distinct, defaults have their
  /// key's type
  explicit Schema(std::vector<Key> keys);

  const std::vector<Key>& keys() const noexcept { return keys_; }
  /// nullptr if there is no such key.
  const Key* find(std::string_view name) const;
  /// Whether some key begins with "section.".
  bool has_section(std::string_view section) const;
  /// "unknown key; did you mean init.sigma_w? Known keys: ...", the keys of the same section where it exists.
  std::string unknown(std::string_view name) const;

 private:
  std::vector<Key> keys_;
};

/// The name of a key's variable in the result file: its last part if that is unique among all keys
/// (`sigma_w`), else section and part (`data_source`). @pre `key` is in `schema`
std::string coordinate_name(const Schema& schema, std::string_view key);

/// The same for a parameter of a named value: `activation_slope`.
std::string coordinate_name(const Schema& schema, std::string_view key, std::string_view parameter);

}  // namespace gradflow::sweep
