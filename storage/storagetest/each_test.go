package storagetest_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// ofOne are the tests that open a store of one database only, each with its folder, by why they do.
var ofOne = map[string][]string{
	"the contract is held by each database in a test of its own": {
		"storage TestQueue", "storage TestStore", "storage TestStoreInSegments", "storage TestStoreOnPostgresInSegments",
		"storage TestSQLiteDoesAsTheQueueInMemory", "storage TestPostgresDoesAsTheQueueInMemory",
	},
	"it is about SQLite's file: its name, its lock, its log, its pages, its copies": {
		"storage TestOpenIsForOneProcess", "storage TestOpenNamesWhatItCannotOpen", "storage TestOpenTakesAnyFileName",
		"storage TestCase03AcknowledgedIsOnDisk", "storage TestCase06RuinedPages", "storage TestBackupEndsEarly", "storage TestBackupWhileOthersWrite",
		"storage TestCopyOfAStoreThatNobodyHasOpen", "cmd/portalhook TestBackupOfARunningServer", "cmd/portalhook TestFullDiskOverHTTP",
	},
	"it is about SQLite's tables of days, which are brought up to date and emptied bit by bit; PostgreSQL's are partitions": {
		"storage TestEarlierDaysAreBroughtUpToDate", "storage TestFormsOfALaterVersionAreRefused", "storage TestIndexesOfDaysAreMadeAnew",
		"storage TestRetentionIsFinishedLater",
	},
	"it is about several nodes, which SQLite has not": {
		"storage TestCase09DeadNodeIsTakenOver", "storage TestCase19SameEventOnAllNodes", "storage TestNodeThatVanished", "storage TestNodesHearOfChanges",
		"storage TestNodesMigrateTogether", "storage TestNodesShareKeys", "storage TestNodesShareTheWork", "storage TestNodesShiftOnce",
		"storage TestCommitsWithoutAnAnswer", "storage TestFailuresOfAllNodesCount",
		"storage TestFoldWhileOthersCount", "storage TestFoldsWhenAnHourIsOver", "storage TestNoSaveIsLost", "storage TestNodeJoinsAnewOnce",
		"storage TestNodesAreCounted", "storage TestRateLimitOfOneWebhookOnly", "storage TestRateLimitOverNodes", "storage TestSilentDatabase",
		"cmd/portalhook TestCase09NodesCarryOn", "cmd/portalhook TestEveryNodeAnswersAlike",
	},
	"built-in receivers are in memory where there is one node, and are held to the same suite there": {"storage TestReceiversOnPostgres"},
	"it is about plans that PostgreSQL makes once for a connection":                                  {"storage TestFoldedHoursAreReadOneByOne", "storage TestWorkIsLookedUp"},
	"it is about what PostgreSQL does not take, and SQLite does":                                     {"storage TestPostgresKeepsAnyText"},
	"it goes from one database to the other": {
		"storage TestTransferFindsWhatDiffers", "storage TestTransferKeepsEveryRow", "storage TestTransferRefuses", "storage TestTransferResumes",
		"storage TestTransferToSQLiteFindsWhatDiffers", "storage TestTransferredStoreDoesAsTheQueueInMemory",
		"cmd/portalhook TestMigrationGoesOn", "cmd/portalhook TestMigrationKeepsEveryAnswer",
	},
	"it is about commands, signals, logs and settings, and no answer of the store counts": {
		"cmd/portalhook TestScript", "cmd/portalhook TestSecondSignalEndsAtOnce", "cmd/portalhook TestReceiversDoNotWriteTheLog",
		"cmd/portalhook TestDeployedSettings", "cmd/portalhook TestUnit", "cmd/portalhook TestChart", "cmd/portalhook TestOwnPortStaysClosed",
	},
	"it looks through every file of a server; rows are looked through by TestSecretsAreSealed": {"cmd/portalhook TestCase35Canaries"},
	"the demonstration has a test for each database":                                           {"cmd/portalhook TestDemoFindsFaults", "cmd/portalhook TestDemoOnPostgres"},
	"it is about what a page does in a browser; what pages count, list, search and recover is looked at on both databases": {
		"cmd/portalhook TestConsoleAudit", "cmd/portalhook TestConsoleByKeyboard", "cmd/portalhook TestConsoleCatalogue",
		"cmd/portalhook TestConsoleCatalogueOfViewers", "cmd/portalhook TestConsoleCreatesAndEdits", "cmd/portalhook TestConsoleDoor",
		"cmd/portalhook TestConsoleEventsOfEveryFamily", "cmd/portalhook TestConsoleInOtherWords", "cmd/portalhook TestConsoleKeys",
		"cmd/portalhook TestConsoleNarrow", "cmd/portalhook TestConsoleOverviewForOthers", "cmd/portalhook TestConsoleReceiver",
		"cmd/portalhook TestConsoleReceiverGoes", "cmd/portalhook TestConsoleRoles", "cmd/portalhook TestConsoleRoutes",
		"cmd/portalhook TestConsoleRoutesForOthers", "cmd/portalhook TestConsoleScale", "cmd/portalhook TestConsoleSettings",
		"cmd/portalhook TestConsoleStandsStill", "cmd/portalhook TestConsoleViewer",
		"cmd/portalhook TestScreenshots",
	},
}

// parts are the functions and variables of a folder's tests, each with the names in it, by name. Methods go by their names alone.
func parts(t *testing.T, folder string) map[string]map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("../..", folder, "*_test.go"))
	require.NoError(t, err)
	found := make(map[string]map[string]bool)
	add := func(name string, node ast.Node) {
		if found[name] == nil {
			found[name] = make(map[string]bool)
		}
		ast.Inspect(node, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.Ident:
				found[name][n.Name] = true
			case *ast.SelectorExpr:
				if of, ok := n.X.(*ast.Ident); ok {
					found[name][of.Name+"."+n.Sel.Name] = true
				}
			case *ast.BasicLit:
				if n.Kind == token.STRING && (n.Value == `"--listen"` || strings.HasPrefix(n.Value, `"sqlite:`)) {
					found[name][aServer] = true
				}
			}
			return true
		})
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, declared := range parsed.Decls {
			switch d := declared.(type) {
			case *ast.FuncDecl:
				if d.Body != nil {
					add(d.Name.Name, d.Body)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if v, ok := spec.(*ast.ValueSpec); ok {
						for _, name := range v.Names {
							add(name.Name, v)
						}
					}
				}
			}
		}
	}
	return found
}

// aServer stands for a program that is told where to listen, or of a store.
const aServer = "a server of its own"

// openers are what opens a store, or makes a place for one; testscripts start servers.
var openers = []string{
	"storage.OpenSQLite", "storage.OpenPostgres", "openStore", "demoServer", "storagetest.Place", "postgrestest.Database", "testscript.Run", aServer,
}

// reaches reports whether a part comes to one of the names, by whatever way.
func reaches(all map[string]map[string]bool, from string, names []string) bool {
	seen, next := map[string]bool{from: true}, []string{from}
	for len(next) > 0 {
		one := next[0]
		next = next[1:]
		for name := range all[one] {
			if slices.Contains(names, name) {
				return true
			}
			if !seen[name] && all[name] != nil {
				seen[name] = true
				next = append(next, name)
			}
		}
	}
	return false
}

// Whatever opens a store is tested on both databases, or there is a reason why it is not.
func TestOnEachDatabase(t *testing.T) {
	excused := make(map[string]bool)
	for _, tests := range ofOne {
		for _, name := range tests {
			require.False(t, excused[name], "%s has two reasons", name)
			excused[name] = true
		}
	}
	both := 0
	for _, folder := range []string{"delivery", "payload", "router", "storage", "triggers", "web", "web/console", "cmd/portalhook", "cmd/torture"} {
		all := parts(t, folder)
		for _, name := range slices.Sorted(maps.Keys(all)) {
			if !strings.HasPrefix(name, "Test") || name == "TestMain" {
				continue
			}
			test := folder + " " + name
			switch opens := reaches(all, name, openers); {
			case reaches(all, name, []string{"storagetest.OnEach"}):
				both++
				if excused[test] {
					t.Errorf("%s runs on both databases, and needs no reason", test)
				}
			case opens && !excused[test]:
				t.Errorf("%s opens a store of one database: run it by storagetest.OnEach, or say here why not", test)
			case !opens && excused[test]:
				t.Errorf("%s opens no store, and needs no reason", test)
			}
			delete(excused, test)
		}
	}
	require.Empty(t, excused, "there are no such tests")
	require.Greater(t, both, 80)
}
