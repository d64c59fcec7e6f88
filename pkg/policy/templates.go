package policy

import "slices"

// Template makes documents of one purpose.
type Template struct {
	Name       string
	Purpose    string // one line
	Parameters []Parameter

	build func(values) []Statement
}

// Parameter is what a template asks for. Every parameter must be given.
type Parameter struct {
	Name    string
	Purpose string // one line
	Many    bool   // takes several values, which one document opens together

	commas bool // a comma separates values, since no value can hold one
	check  func(value string, o Options) ([]string, error)
}

// values are checked values by parameter.
type values map[string][]string

// Templates returns the built-in templates, in the order in which to show them.
func Templates() []Template {
	list := slices.Clone(templates)
	for i := range list {
		list[i].Parameters = slices.Clone(list[i].Parameters)
	}
	return list
}

var (
	database = Parameter{Name: "bucket", Purpose: "bucket of the database", check: checkBucket}
	schemas  = Parameter{Name: "schema", Purpose: "schema in the database", Many: true, commas: true, check: checkSchema}
	buckets  = Parameter{Name: "bucket", Purpose: "bucket", Many: true, commas: true, check: checkBucket}
	bucket   = Parameter{Name: "bucket", Purpose: "bucket", check: checkBucket}
	prefixes = Parameter{Name: "prefix", Purpose: "what the keys begin with, up to a slash", Many: true, check: checkPrefix}
)

// The actions come from VAST's documentation of database and S3 permissions. What
// only newer clusters know (views, row security) is left out: how an older one
// takes an action that it does not know is not documented.
var (
	transactions = []string{
		"s3:TabularBeginTransaction", "s3:TabularCommitTransaction", "s3:TabularRollbackTransaction", "s3:TabularGetTransaction",
	}
	queries = []string{
		"s3:TabularListTables", "s3:TabularListColumns", "s3:TabularGetTableStats", "s3:TabularQueryData",
		"s3:TabularListProjections", "s3:TabularListProjectionColumns", "s3:TabularGetProjectionStats",
	}
	rows = []string{
		"s3:TabularInsertRows", "s3:TabularUpdateRows", "s3:TabularDeleteRows", "s3:TabularImportData",
	}

	// A HEAD of a bucket is judged as HeadBucket by some documents and as
	// ListBucket by others.
	look       = []string{"s3:ListBucket", "s3:HeadBucket", "s3:GetBucketLocation"}
	uploads    = []string{"s3:ListBucketMultipartUploads"}
	putObjects = []string{"s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"}
)

var templates = []Template{
	{
		Name:       "schema-access",
		Purpose:    "see one schema of a database and create tables in it, as in VAST's secure deployment pattern",
		Parameters: []Parameter{database, schemas},
		build: func(v values) []Statement {
			// All four are needed: listing and creating are asked for on the schema
			// and on what lies below it.
			create := []string{"s3:TabularListTables", "s3:TabularCreateTable"}
			return append(seeDatabase(v),
				allow("Schema", create, schemasOf(v, "")),
				allow("Tables", create, schemasOf(v, "/*")))
		},
	},
	{
		Name:       "schema-read",
		Purpose:    "query the tables of a schema",
		Parameters: []Parameter{database, schemas},
		build: func(v values) []Statement {
			return append(transact(v), onSchemas("Read", queries, v))
		},
	},
	{
		Name:       "schema-readwrite",
		Purpose:    "query and change the rows of a schema, and create tables in it",
		Parameters: []Parameter{database, schemas},
		build: func(v values) []Statement {
			return append(transact(v), onSchemas("Read", queries, v), onSchemas("WriteRows", rows, v), onSchemas("CreateTables", []string{"s3:TabularCreateTable"}, v))
		},
	},
	{
		Name:       "bucket-read",
		Purpose:    "list a bucket and get its objects",
		Parameters: []Parameter{buckets},
		build: func(v values) []Statement {
			return []Statement{
				allow("Bucket", look, v["bucket"]),
				allow("Objects", []string{"s3:GetObject"}, below(v["bucket"])),
			}
		},
	},
	{
		Name:       "bucket-readwrite",
		Purpose:    "list a bucket, get, put and delete its objects",
		Parameters: []Parameter{buckets},
		build: func(v values) []Statement {
			objects := append([]string{"s3:GetObject", "s3:DeleteObject"}, putObjects...)
			return []Statement{
				allow("Bucket", slices.Concat(look, uploads), v["bucket"]),
				allow("Objects", objects, below(v["bucket"])),
			}
		},
	},
	{
		Name:       "bucket-write",
		Purpose:    "put objects into a bucket, without listing, getting or deleting any",
		Parameters: []Parameter{buckets},
		build: func(v values) []Statement {
			return []Statement{
				allow("Bucket", append([]string{"s3:HeadBucket"}, uploads...), v["bucket"]),
				allow("Objects", putObjects, below(v["bucket"])),
			}
		},
	},
	{
		Name:       "prefix-upload",
		Purpose:    "put objects below a prefix of a bucket and nothing else",
		Parameters: []Parameter{bucket, prefixes},
		build: func(v values) []Statement {
			return []Statement{allow("Upload", putObjects, inBucket(v, "prefix", "/*"))}
		},
	},
}

// allow copies its lists: a caller may change the document that it got.
func allow(sid string, actions, resources []string) Statement {
	return Statement{Sid: sid, Effect: Allow, Action: slices.Clone(actions), Resource: slices.Clone(resources)}
}

// seeDatabase lets a user find the database and the names of its schemas.
func seeDatabase(v values) []Statement {
	return []Statement{
		allow("Database", []string{"s3:HeadBucket"}, v["bucket"]),
		allow("Schemas", []string{"s3:TabularListSchemas"}, v["bucket"]),
	}
}

// transact is what every query needs: clients do all their work in transactions.
// They are granted on the database and on what lies below the schemas.
func transact(v values) []Statement {
	return append(seeDatabase(v), allow("Transactions", transactions, append(slices.Clone(v["bucket"]), schemasOf(v, "/*")...)))
}

// onSchemas grants actions on the schemas and on what lies below them.
func onSchemas(sid string, actions []string, v values) Statement {
	var resources []string
	for _, schema := range schemasOf(v, "") {
		resources = append(resources, schema, schema+"/*")
	}
	return allow(sid, actions, resources)
}

func schemasOf(v values, end string) []string { return inBucket(v, "schema", end) }

// inBucket returns each value of a parameter as a resource in the one bucket, with
// an end put to it.
func inBucket(v values, parameter, end string) []string {
	var list []string
	for _, value := range v[parameter] {
		list = append(list, v["bucket"][0]+"/"+value+end)
	}
	return list
}

func below(buckets []string) []string {
	var list []string
	for _, b := range buckets {
		list = append(list, b+"/*")
	}
	return list
}
