// Parse files without running them: groovy syntax.groovy FILE...
import org.codehaus.groovy.control.*

int bad = 0
for (name in args) {
    def unit = new CompilationUnit()
    unit.addSource(new File(name))
    try {
        unit.compile(Phases.CONVERSION)
    } catch (CompilationFailedException error) {
        bad++
        System.err.println("${name}: ${error.message}")
    }
}
println("${args.length} files, ${bad} with errors")
System.exit(bad ? 1 : 0)
