package registry

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"kosk/device/keep"

	"golang.org/x/crypto/argon2"
)

// Errors about operators. Compare with errors.Is.
var (
	// ErrOperator says that no operator has the name.
	ErrOperator = errors.New("unknown operator")
	// ErrPassword says that a password can't be taken.
	ErrPassword = errors.New("password must have 12 to 256 bytes")
	// ErrRole says that a role is not one of those that there are.
	ErrRole = errors.New("role must be operator or auditor")
)

// A Role is what somebody at the operator's page may do.
type Role string

// The roles.
const (
	RoleOperator Role = "operator" // sees all, and acts
	RoleAuditor  Role = "auditor"  // sees all, changes nothing
)

// An Operator is somebody who may open the operator's page.
type Operator struct {
	Name     string    `json:"name"`
	Role     Role      `json:"role"`
	Added    time.Time `json:"added"`
	Password string    `json:"password"` // argon2id in PHC's string format
}

// Lengths of a password.
const (
	minPassword = 12
	maxPassword = 256
)

// AddOperator registers somebody, or gives them a new password and role.
// Errors: ErrName, ErrRole, ErrPassword.
func (r *Registry) AddOperator(name string, role Role, password string, now time.Time) error {
	var problem error
	switch {
	case !Name.MatchString(name):
		problem = ErrName
	case role != RoleOperator && role != RoleAuditor:
		problem = ErrRole
	case len(password) < minPassword || len(password) > maxPassword:
		problem = ErrPassword
	}
	if problem != nil {
		return fmt.Errorf("add operator: %w", problem)
	}
	o := Operator{Name: name, Role: role, Added: now.UTC(), Password: hashPassword(password)}
	return r.changeOperators("add operator", func(all []Operator) ([]Operator, error) {
		all = slices.DeleteFunc(all, func(have Operator) bool { return have.Name == name })
		return append(all, o), nil
	})
}

// RemoveOperator shuts somebody out; their sessions end with it. Errors: ErrOperator.
func (r *Registry) RemoveOperator(name string) error {
	return r.changeOperators("remove operator", func(all []Operator) ([]Operator, error) {
		left := slices.DeleteFunc(slices.Clone(all), func(have Operator) bool { return have.Name == name })
		if len(left) == len(all) {
			return nil, ErrOperator
		}
		return left, nil
	})
}

func (r *Registry) changeOperators(what string, change func([]Operator) ([]Operator, error)) error {
	err := r.locked(func() error {
		all, err := r.Operators()
		if err != nil {
			return err
		}
		if all, err = change(all); err != nil {
			return err
		}
		slices.SortFunc(all, func(a, b Operator) int { return strings.Compare(a.Name, b.Name) })
		b, err := json.MarshalIndent(all, "", "  ")
		if err != nil {
			return err
		}
		return keep.File(r.operatorsPath(), append(b, '\n'))
	})
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func (r *Registry) operatorsPath() string { return filepath.Join(r.dir, "operators.json") }

// Operators lists all by name.
func (r *Registry) Operators() ([]Operator, error) {
	b, err := os.ReadFile(r.operatorsPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read operators: %w", err)
	}
	var all []Operator
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, fmt.Errorf("read operators: damaged file")
	}
	return all, nil
}

// Operator returns one, or ErrOperator.
func (r *Registry) Operator(name string) (Operator, error) {
	all, err := r.Operators()
	if err != nil {
		return Operator{}, err
	}
	i := slices.IndexFunc(all, func(o Operator) bool { return o.Name == name })
	if i < 0 {
		return Operator{}, ErrOperator
	}
	return all[i], nil
}

// Argon2id with RFC 9106's second choice (4): 64 MiB, three passes, four lanes.
const (
	argonTime   = 3
	argonMemory = 64 << 10 // KiB
	argonLanes  = 4
	argonSalt   = 16
	argonKey    = 32
)

func hashPassword(password string) string {
	salt := make([]byte, argonSalt)
	_, _ = rand.Read(salt) // never fails, see crypto/rand
	key := argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonLanes, argonKey)
	enc := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonLanes, enc(salt), enc(key))
}

// Fits says whether the password is the operator's. It takes as long for the zero
// Operator, whom no password fits, as for any other.
func (o Operator) Fits(password string) bool {
	salt, want, ok := parsePassword(o.Password)
	if len(password) > maxPassword {
		password, ok = "", false
	}
	got := argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonLanes, argonKey)
	return subtle.ConstantTimeCompare(got, want) == 1 && ok
}

// parsePassword reads what hashPassword wrote. When ok is false, salt and key are
// of the same length and fit nothing.
func parsePassword(s string) (salt, key []byte, ok bool) {
	prefix := fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$", argon2.Version, argonMemory, argonTime, argonLanes)
	rest, ok := strings.CutPrefix(s, prefix)
	saltText, keyText, both := strings.Cut(rest, "$")
	salt, errSalt := base64.RawStdEncoding.DecodeString(saltText)
	key, errKey := base64.RawStdEncoding.DecodeString(keyText)
	if !ok || !both || errSalt != nil || errKey != nil || len(salt) != argonSalt || len(key) != argonKey {
		return make([]byte, argonSalt), make([]byte, argonKey), false
	}
	return salt, key, true
}
