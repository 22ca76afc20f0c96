package storage_test

import (
	"database/sql"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/storage"
	"portalhook/storage/storagetest"
	"portalhook/triggers"
)

const canary = "canary-0a1b2c3d4e5f"

func secretive(w *triggers.Webhook) *triggers.Webhook {
	secret := *w
	secret.Secret = triggers.NewSecret(canary + "-secret")
	secret.OldSecrets = []triggers.OldSecret{{Secret: triggers.NewSecret(canary + "-old"), Until: time.UnixMilli(1e12).UTC()}}
	secret.EncryptedHeaders = []triggers.Header{{Name: "Authorization", Value: triggers.NewSecret(canary + "-header")}}
	return &secret
}

func TestSecretsAreSealed(t *testing.T) {
	t.Parallel()
	storagetest.OnEach(t, testSecretsAreSealed)
}

func testSecretsAreSealed(t *testing.T, place func(testing.TB) storage.Config) {
	t.Helper()
	config := place(t)
	store, w := seededAt(t, config)
	w = secretive(w)
	require.NoError(t, store.UpdateWebhook(t.Context(), w, delivery.WebhookLimits{}))
	second := *w
	second.ID = triggers.WebhookID{2}
	require.NoError(t, store.CreateWebhook(t.Context(), &second, delivery.WebhookLimits{}))
	_, err := store.Enqueue(t.Context(), []delivery.Acceptance{acceptance(t, w, 0, "", 100)})
	require.NoError(t, err)
	noCanary := func() {
		texts := storedTexts(t, config)
		require.NotEmpty(t, texts)
		for where, text := range texts {
			require.NotContains(t, text, canary, where)
			require.NotContains(t, text, hex.EncodeToString([]byte(canary)), where)
		}
	}
	noCanary()
	require.NoError(t, store.Close())
	noCanary()
	for _, name := range []string{config.Path, keyFileOf(config)} {
		if name == "" {
			continue // PostgreSQL's files are its own
		}
		info, err := os.Stat(name)
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), info.Mode().Perm(), name)
	}
	store = openAt(t, config)
	found, err := store.Webhook(t.Context(), w.Tenant, w.ID)
	require.NoError(t, err)
	require.Equal(t, w, found)
	require.NoError(t, store.Close())
}

// storedTexts is all that a store has written, by where it has: SQLite's files, or the rows of PostgreSQL's tables, whose bytes are shown in
// hexadecimal digits.
func storedTexts(t *testing.T, config storage.Config) map[string]string {
	t.Helper()
	texts := make(map[string]string)
	if config.URL == "" {
		files, err := os.ReadDir(filepath.Dir(config.Path))
		require.NoError(t, err)
		for _, file := range files {
			text, err := os.ReadFile(filepath.Join(filepath.Dir(config.Path), file.Name()))
			require.NoError(t, err)
			texts[file.Name()] = string(text)
		}
		return texts
	}
	db, err := sql.Open("pgx", config.URL)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	var tables string
	require.NoError(t, db.QueryRowContext(t.Context(), `SELECT string_agg(relname, ' ') FROM pg_class
  WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'`).Scan(&tables))
	for table := range strings.FieldsSeq(tables) {
		var text string
		require.NoError(t, db.QueryRowContext(t.Context(), `SELECT coalesce(string_agg(one::text, ' '), '') FROM "`+table+`" AS one`).Scan(&text))
		texts[table] = text
	}
	require.Contains(t, texts["webhook"], "receiver.example.com", "it is all there")
	return texts
}

// A key that is derived comes out the same at every start, and tells nothing of another.
func TestDerivedKeys(t *testing.T) {
	t.Parallel()
	storagetest.OnEach(t, testDerivedKeys)
}

func testDerivedKeys(t *testing.T, place func(testing.TB) storage.Config) {
	t.Helper()
	config := place(t)
	store, _ := seededAt(t, config)
	derive := func(purpose string) []byte {
		key, err := store.DeriveKey(purpose)
		require.NoError(t, err)
		require.Len(t, key, 32)
		return key
	}
	first, second := derive("tokens"), derive("other things")
	require.NotEqual(t, first, second)
	require.NoError(t, store.Close())
	store = openAt(t, config)
	require.Equal(t, first, derive("tokens"))
	require.NoError(t, store.Close())
	store, _ = seededAt(t, place(t))
	require.NotEqual(t, first, derive("tokens"))
	require.NoError(t, store.Close())
}

func TestStoreWithoutItsKeyIsRefused(t *testing.T) {
	t.Parallel()
	storagetest.OnEach(t, testStoreWithoutItsKeyIsRefused)
}

func testStoreWithoutItsKeyIsRefused(t *testing.T, place func(testing.TB) storage.Config) {
	t.Helper()
	key := filepath.Join(t.TempDir(), "keys")
	config := place(t)
	config.KeyFile = key
	store, plain := seededAt(t, config)
	w := secretive(plain)
	w.ID = triggers.WebhookID{2}
	require.NoError(t, store.CreateWebhook(t.Context(), w, delivery.WebhookLimits{}))
	require.NoError(t, store.Close())
	good, err := os.ReadFile(key)
	require.NoError(t, err)

	refused := func(why string) {
		t.Helper()
		_, err := tryOpenAt(t, config)
		require.ErrorIs(t, err, storage.ErrSecrets)
		require.ErrorContains(t, err, why)
		require.NotContains(t, err.Error(), canary)
	}
	require.NoError(t, os.Remove(key))
	refused(key + " is missing")
	require.NoFileExists(t, key, "no key is made for secrets that it does not open")
	other := place(t)
	other.KeyFile = key
	require.NoError(t, openAt(t, other).Close())
	refused(map[bool]string{true: "1 webhooks", false: "none of the keys that the database's nodes have"}[config.URL == ""])
	another, err := os.ReadFile(key)
	require.NoError(t, err)

	for name, text := range map[string]string{
		"empty": "", "comment only": "# nothing\n", "no key": "abcd\n", "short key": "abcd AAAA\n", "no base64": "abcd ***\n",
	} {
		require.NoError(t, os.WriteFile(key, []byte(text), 0o600))
		_, err := tryOpenAt(t, config)
		require.ErrorContains(t, err, key, name)
		require.NotContains(t, err.Error(), "AAAA")
	}

	// A new key is added at the end; the old one still opens what it sealed.
	require.NoError(t, os.WriteFile(key, append(append([]byte{}, good...), another...), 0o600))
	store = openAt(t, config)
	found, err := store.Webhook(t.Context(), w.Tenant, w.ID)
	require.NoError(t, err)
	require.Equal(t, w, found)
	require.NoError(t, store.UpdateWebhook(t.Context(), w, delivery.WebhookLimits{}))
	require.NoError(t, store.Close())
	require.NoError(t, os.WriteFile(key, another, 0o600))
	store = openAt(t, config)
	found, err = store.Webhook(t.Context(), w.Tenant, w.ID)
	require.NoError(t, err)
	require.Equal(t, w, found, "it was sealed anew under the newest")
	require.NoError(t, store.Close())
}

func TestForgottenSecretsSwitchOff(t *testing.T) {
	t.Parallel()
	storagetest.OnEach(t, testForgottenSecretsSwitchOff)
}

func testForgottenSecretsSwitchOff(t *testing.T, place func(testing.TB) storage.Config) {
	t.Helper()
	config := place(t)
	store, plain := seededAt(t, config)
	w := secretive(plain)
	w.ID = triggers.WebhookID{2}
	require.NoError(t, store.CreateWebhook(t.Context(), w, delivery.WebhookLimits{}))
	require.NoError(t, store.Close())
	require.NoError(t, os.Remove(keyFileOf(config)))
	told := func(change *delivery.Change, before, after *triggers.Webhook) {
		require.True(t, before.Enabled)
		change.Action, change.ObjectID, change.After = "forgotten", after.ID.String(), []byte(`{"enabled":false}`)
	}
	forgetting := config
	forgetting.ForgetSecrets, forgetting.Own = true, told
	store = openAt(t, forgetting)
	changes, err := store.Changes(t.Context(), delivery.ChangeQuery{Tenant: w.Tenant, Limit: 9})
	require.NoError(t, err)
	require.Equal(t, []delivery.Change{
		{ID: changes[0].ID, Tenant: w.Tenant, Action: "forgotten", ObjectID: w.ID.String(), After: []byte(`{"enabled":false}`)},
	}, changes)
	found, err := store.Webhook(t.Context(), w.Tenant, w.ID)
	require.NoError(t, err)
	require.False(t, found.Enabled)
	require.Equal(t, storage.SecretsForgotten, found.DisabledReasonCode)
	require.NotEmpty(t, found.DisabledReason)
	require.True(t, found.Secret.IsZero())
	require.Empty(t, found.EncryptedHeaders)
	untouched, err := store.Webhook(t.Context(), plain.Tenant, plain.ID)
	require.NoError(t, err)
	require.Equal(t, plain, untouched)
	require.NoError(t, store.Close())
	require.NoError(t, openAt(t, config).Close(), "afterwards it opens as any")
}

func TestSecretsOpenInTheirPlaceOnly(t *testing.T) {
	t.Parallel()
	storagetest.OnEach(t, testSecretsOpenInTheirPlaceOnly)
}

func testSecretsOpenInTheirPlaceOnly(t *testing.T, place func(testing.TB) storage.Config) {
	t.Helper()
	config := place(t)
	store, w := seededAt(t, config)
	w = secretive(w)
	require.NoError(t, store.UpdateWebhook(t.Context(), w, delivery.WebhookLimits{}))
	second := secretive(w)
	second.ID = triggers.WebhookID{2}
	require.NoError(t, store.CreateWebhook(t.Context(), second, delivery.WebhookLimits{}))
	store.Script(t, `UPDATE webhook SET secrets = (SELECT secrets FROM webhook WHERE key = 1) WHERE key = 2`)
	_, err := store.Webhook(t.Context(), second.Tenant, second.ID)
	require.ErrorIs(t, err, storage.ErrSecrets)
	require.NoError(t, store.Close())
}
