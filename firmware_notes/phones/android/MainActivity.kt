package org.edgegenre.example

import android.Manifest
import android.os.Bundle
import androidx.activity.ComponentActivity
import androidx.activity.compose.rememberLauncherForActivityResult
import androidx.activity.compose.setContent
import androidx.activity.result.contract.ActivityResultContracts.RequestPermission
import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.fillMaxWidth
import androidx.compose.foundation.layout.padding
import androidx.compose.foundation.layout.safeDrawingPadding
import androidx.compose.material3.LinearProgressIndicator
import androidx.compose.material3.MaterialTheme
import androidx.compose.material3.Text
import androidx.compose.runtime.LaunchedEffect
import androidx.compose.runtime.getValue
import androidx.compose.runtime.mutableStateOf
import androidx.compose.runtime.remember
import androidx.compose.runtime.setValue
import androidx.compose.ui.Modifier
import androidx.compose.ui.unit.dp
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.flow.catch
import kotlinx.coroutines.flow.flowOn
import kotlinx.coroutines.flow.map

private const val SAMPLE_RATE = 22_050 // `edge-genre inspect` prints the model's
private const val WINDOW = 3 * SAMPLE_RATE
private const val HOP = SAMPLE_RATE / 2

/** What the microphone hears, as bars. */
class MainActivity : ComponentActivity() {
    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContent {
            var allowed by remember { mutableStateOf(false) }
            var heard by remember { mutableStateOf(emptyList<Genre>()) }
            var trouble by remember { mutableStateOf("Listening …") }
            val ask = rememberLauncherForActivityResult(RequestPermission()) { granted ->
                allowed = granted
                if (!granted) trouble = "Without the microphone there is nothing to hear."
            }
            LaunchedEffect(Unit) { ask.launch(Manifest.permission.RECORD_AUDIO) }
            LaunchedEffect(allowed) {
                if (!allowed) return@LaunchedEffect
                // LiteRtGenres and OnnxGenres take its place as they are.
                MediaPipeGenres(this@MainActivity, SAMPLE_RATE).use { genres ->
                    windows(SAMPLE_RATE, WINDOW, HOP)
                        .map(genres::classify)
                        .flowOn(Dispatchers.Default)
                        .catch { trouble = it.message ?: "It failed." }
                        .collect { heard = it }
                }
            }
            Column(Modifier.safeDrawingPadding().padding(24.dp)) {
                Text(heard.firstOrNull()?.label ?: trouble, style = MaterialTheme.typography.displaySmall)
                for (genre in heard.take(5)) {
                    Text(genre.label, Modifier.padding(top = 12.dp))
                    LinearProgressIndicator({ genre.probability }, Modifier.fillMaxWidth())
                }
            }
        }
    }
}
