package manifest

import "slices"

// unapplied checks what is not applied with the others.
func (l *loading) unapplied() {
	path := []string{"metadata", "annotations", AnnotationApply}
	for _, o := range l.objects {
		switch said := o.GetAnnotations()[AnnotationApply]; {
		case said == "" || said == "true":
		case said != "false":
			l.mistaken(o, path, `%s: want "true" or "false", got %q`, AnnotationApply, said)
		case !isJob(o):
			l.mistaken(o, path, "%s: a Job alone can be run by its name, and this is a %s", AnnotationApply, o.GetKind()).
				hint("%s: \"true\" is on what is no part of a deployment", local)
		}
	}
}

func isJob(o *Object) bool {
	return o.GetKind() == "Job" && o.GroupVersionKind().Group == "batch"
}

// apart reports a Job that is run by its name.
func (o *Object) apart() bool { return isJob(o) && o.GetAnnotations()[AnnotationApply] == "false" }

// Job is the Job of a name that is run by its name; nil where there is none, with the names that there are. applied says
// that one of this name is applied with the others.
func (s *Set) Job(name string) (job *Object, names []string, applied bool) {
	for i, o := range s.Jobs {
		if names = append(names, o.GetName()); o.GetName() == name {
			job = &s.Jobs[i]
		}
	}
	applied = slices.ContainsFunc(s.Objects, func(o Object) bool { return isJob(&o) && o.GetName() == name })
	return job, names, applied
}
